"""Whoever leaves a stream leaves nothing running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import ServiceError
from nightjar.web.streams.leaving import leave_replies


@dataclass
class Reply:
    """Notes that it was cancelled."""

    job: Any = None
    away: bool = False
    cancelled: bool = False

    async def cancel(self) -> None:
        self.cancelled = True
        if self.away:
            raise ServiceError("MongoDB was away.")

    def __post_init__(self) -> None:
        self.job = type("Job", (), {"id": "j"})


async def test_replies_are_cancelled_though_a_driver_swallowed_the_first_cancellation() -> None:
    swallowed = asyncio.Event()

    async def follow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    reply = Reply()
    await asyncio.wait_for(leave_replies([reply], [task]), 10)  # type: ignore[list-item]
    assert swallowed.is_set()
    assert task.cancelled()
    assert reply.cancelled


async def test_a_reply_that_cannot_be_cancelled_keeps_no_other_from_it() -> None:
    replies = [Reply(away=True), Reply()]
    await leave_replies(replies, ())  # type: ignore[arg-type]
    assert [reply.cancelled for reply in replies] == [True, True]
