"""What a stream does at its end, whether it was heard to its end or left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from nightjar.jobs.live.reply_cache import FollowedReply
from nightjar.jobs.periodic import end_task

_log = structlog.get_logger()


async def leave_replies(replies: Iterable[FollowedReply], tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Ends the tasks that followed the replies, though a driver may swallow a cancellation; then cancels what has not
    ended. A reply that cannot be cancelled is logged, and keeps no other from being cancelled.
    """
    await asyncio.gather(*map(end_task, tasks))
    for reply in replies:
        try:
            await reply.cancel()
        except Exception:
            _log.exception("live_request_not_cancelled", job=reply.job.id)
