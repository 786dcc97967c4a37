"""Sends commits that arrive at the same moment together: one round trip and one journal flush for all of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nightjar.jobs import ownership
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import TurnRecord

MOST = 64
"""The most turns in one round trip."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Commit:
    job: Job
    turn: TurnRecord
    last: bool
    answer: asyncio.Future[None]


class Commits:
    """Commits the turns of one worker. Use it from one event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Commit] = []
        self._sender: asyncio.Task[None] | None = None

    async def commit(self, job: Job, turn: TurnRecord, *, last: bool) -> None:
        """As `ownership.commit_turn`. Commits that arrive during a round trip go together in the next one."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Commit(job=job, turn=turn, last=last, answer=answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        await answer

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if len(batch) == 1 or not await self._all_match(batch):
                await asyncio.gather(*(self._send_one(commit) for commit in batch))
        self._sender = None

    async def _all_match(self, batch: list[_Commit]) -> bool:
        """Sends the batch in one write. False if not all matched; sending each again is harmless for the others."""
        writes = [ownership.commit_of(commit.job, commit.turn, last=commit.last) for commit in batch]
        try:
            done = await self._database.jobs.bulk_write(writes, ordered=False)
        except Exception:  # whichever commit caused it will meet it again
            return False
        if done.matched_count < len(batch):
            return False
        for commit in batch:
            _answer(commit, None)
        return True

    async def _send_one(self, commit: _Commit) -> None:
        try:
            await ownership.commit_turn(commit.job, commit.turn, self._database, last=commit.last)
        except Exception as error:
            _answer(commit, error)
        else:
            _answer(commit, None)


def _answer(commit: _Commit, error: Exception | None) -> None:
    if commit.answer.done():  # nobody is waiting any more
        return
    if error is None:
        commit.answer.set_result(None)
    else:
        commit.answer.set_exception(error)
