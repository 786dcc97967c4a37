"""Several replies at once, each with an end of its own: what goes wrong with one is said of that one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Request

from nightjar.config.errors import NightjarError
from nightjar.config.redact import redact_text
from nightjar.jobs.live.requests import LiveReply
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.mongo import DatabaseError
from nightjar.web.openai.streams import WAITING, WAITING_S, sse
from nightjar.web.site import Site
from nightjar.web.streams.leaving import leave_replies
from nightjar.web.streams.moves import holder_of
from nightjar.web.streams.texts import next_of
from nightjar.web.visitors import visitor_of

DEFECT = "This should not have happened; the server's log has it."
_log = structlog.get_logger()
Told = asyncio.Queue[dict[str, Any] | None]


@dataclass(kw_only=True)
class PlayColumn:
    """One column. `index`: which of those that were asked for."""

    index: int
    ask: LiveAsk
    reply: LiveReply | None = None

    async def run(self, told: Told, site: Site) -> None:
        """Says what comes, and at last how it ended."""
        try:
            reply = self.reply = await site.live.submit(self.ask)
            told.put_nowait({"index": self.index, "job": reply.job.id, "seed": reply.job.seed})
            async for piece in reply:
                told.put_nowait({"index": self.index, "part": piece.part, "text": piece.text})
            assert reply.end is not None
            site.meters.ended(self.ask.model, reply.end)
            told.put_nowait({"index": self.index, "end": end_words(reply.end)})
        except (NightjarError, DatabaseError) as error:
            site.meters.failed(self.ask.model, error)
            told.put_nowait({"index": self.index, "error": redact_text(str(error))})
        except Exception as error:  # a column without an end would be waited for without end
            _log.exception("play_failed", model=self.ask.model)
            site.meters.failed(self.ask.model, error)
            told.put_nowait({"index": self.index, "error": DEFECT})


async def play_all(asks: list[LiveAsk], request: Request, site: Site) -> AsyncIterator[str]:
    """The stream of all of them. Left before its end, it cancels what has not ended."""
    told: Told = asyncio.Queue()
    played = [PlayColumn(index=index, ask=ask) for index, ask in enumerate(asks)]
    tasks = [asyncio.create_task(each.run(told, site)) for each in played]
    gone = asyncio.create_task(_until_gone(request, told))
    missing = len(played)
    try:
        with site.feed.counted(holder_of(visitor_of(request))):
            yield WAITING
            while missing and not site.closing.is_set():
                item = await next_of(told, site.closing, WAITING_S)
                if gone.done():
                    return
                if item is not None:
                    missing -= "end" in item or "error" in item
                    yield sse(item)
                elif not site.closing.is_set():
                    yield WAITING
            if missing:
                yield sse({"closing": True})
    finally:
        replies = (each.reply for each in played if each.reply is not None)  # read when the tasks have ended
        site.keep(asyncio.create_task(leave_replies(replies, [*tasks, gone])))


async def _until_gone(request: Request, told: Told) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    told.put_nowait(None)


def end_words(end: LiveEnd) -> dict[str, Any]:
    """How a reply ended, for its column. Seconds; what is not known is null."""
    decoded = end.reply_tokens - 1
    return {
        "finish_reason": end.finish_reason,
        "seed": end.seed,
        "prompt_tokens": end.prompt_tokens,
        "reply_tokens": end.reply_tokens,
        "reasoning_tokens": end.reasoning_tokens,
        "queue_s": round((end.claim_s or 0.0) + end.queue_s, 4),
        "first_token_s": end.first_token_s,
        "tokens_per_s": round(decoded / end.decode_s, 2) if decoded > 0 and end.decode_s > 0 else None,
        "empty": end.empty,
    }
