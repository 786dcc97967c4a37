"""Commits that come at the same moment, sent together: one round trip and one flush of the journal for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nightjar.jobs import ownership
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Job
from nightjar.jobs.records import TurnRecord

MOST = 64
"""Turns in one round trip."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Commit:
    job: Job
    turn: TurnRecord
    last: bool
    answer: asyncio.Future[None]


class Commits:
    """Commits the turns of one worker. All methods belong to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Commit] = []
        self._sender: asyncio.Task[None] | None = None

    async def commit(self, job: Job, turn: TurnRecord, *, last: bool) -> None:
        """See `ownership.commit_turn`; what waits while others are sent goes with the next."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Commit(job=job, turn=turn, last=last, answer=answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        await answer

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if len(batch) == 1 or not await self._all_match(batch):
                await asyncio.gather(*(self._send_one(each) for each in batch))
        self._sender = None

    async def _all_match(self, batch: list[_Commit]) -> bool:
        """Sends them together. Where not all matched, each is to be sent again: that changes nothing for the others."""
        writes = [ownership.commit_of(each.job, each.turn, last=each.last) for each in batch]
        try:
            done = await self._database.jobs.bulk_write(writes, ordered=False)
        except Exception:  # whosever fault it is, it will be met again
            return False
        if done.matched_count < len(batch):
            return False
        for each in batch:
            _answer(each, None)
        return True

    async def _send_one(self, each: _Commit) -> None:
        try:
            await ownership.commit_turn(each.job, each.turn, self._database, last=each.last)
        except Exception as error:
            _answer(each, error)
        else:
            _answer(each, None)


def _answer(each: _Commit, error: Exception | None) -> None:
    if each.answer.done():  # nobody waits any more
        return
    if error is None:
        each.answer.set_result(None)
    else:
        each.answer.set_exception(error)
