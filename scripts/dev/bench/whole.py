"""The whole pipeline beside the engine alone: the same conversations through queue, MongoDB and a worker process."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ModelError
from nightjar.jobs.states import TERMINAL_RUNS
from nightjar.scripts.children import Child
from nightjar.scripts.dev.bench.models import word
from nightjar.scripts.dev.bench.workloads import SAMPLING, BenchChat, Delivered, Ids, Workload

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

POLL_S = 2.0
"""Seldom: looking takes time from what is measured, and the times come from the commits."""
READY_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """How worker and engine are loaded, and how much they are given. Tokens per slot and per reply; a question's words
    have some eight tokens each in the built models' vocabulary."""

    slots: int
    context: int
    threads: int
    chats: int
    question_words: int
    reply_tokens: int


class Pipeline:
    """Embedded servers, a dispatcher and a worker, each a process of its own, in a home of their own."""

    def __init__(self, session: Session, entry: ModelEntry, load: Load) -> None:
        self._session = session
        self._entry = entry
        self._load = load

    @classmethod
    @asynccontextmanager
    async def up(cls, model: Path, load: Load, home: Path) -> AsyncIterator[Pipeline]:
        """Raises ModelError with the worker's last words when it does not get ready."""
        from nightjar.scripts.evaluation import take_models

        settings = {"SLOTS": load.slots, "CONTEXT": load.context, "THREADS": load.threads}
        async with home_session(
            home, {f"NIGHTJAR_MODEL__{name}": str(value) for name, value in settings.items()}
        ) as session:
            (entry,) = await take_models([str(model)], session)
            async with AsyncExitStack() as children:
                arguments = ["worker", "--model", str(model), "--no-probe"]
                worker = await started(children, arguments, home / "logs/worker.log")
                await started(children, ["dispatcher"], home / "logs/dispatcher.log")
                await _ready(session, worker)
                yield cls(session, entry, load)

    async def run(self, number: int) -> tuple[Delivered, Workload]:
        """Two-turn conversations, timed from the call of `enqueue` to the last commit; and the same work as ids."""
        from nightjar.pipeline.runs.producer import enqueue
        from nightjar.pipeline.runs.request import make_request
        from nightjar.pipeline.suites.importer import import_suite

        version, _ = await import_suite(_suite(self._load, number), self._session.database)
        request = make_request(
            suite=f"{version.name}@{version.version}",
            models=(self._entry.name,),
            paths={self._entry.name: str(self._entry.path)},
        )
        began = await self._session.database.now()
        run = (await enqueue(request, self._session.database)).run
        jobs = await self._finished(run)
        turns = [turn for job in jobs for turn in job["turns"]]
        ended = max(turn["committed_at"] for turn in turns)
        seconds = (ended - began).total_seconds()
        tokens = sum(len(turn["draws"][0]["reply_ids"]) for turn in turns)
        outcome = Delivered(seconds=seconds, replies=len(turns), reply_tokens=tokens)
        return outcome, _same_lengths(jobs, self._load, number)

    async def _finished(self, run: Run) -> list[dict[str, Any]]:
        """Waits for the run's report, too, so that writing it takes nothing from what is measured next."""
        ended = {"_id": run.id, "status": {"$in": list(TERMINAL_RUNS)}}
        while await self._session.database.runs.find_one(ended, {"_id": 1}) is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        return await self._session.database.jobs.find({"run": run.id, "status": "DONE"}).to_list()


@asynccontextmanager
async def home_session(home: Path, environment: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[Session]:
    """Servers in a home of their own, for this process and those that it starts."""
    from nightjar.config.embedded import down
    from nightjar.config.settings import load_settings
    from nightjar.scripts.session import open_session

    os.environ |= {"NIGHTJAR_HOME": str(home), **environment}
    load_settings.cache_clear()
    try:
        async with open_session(redis=True) as session:
            yield session
    finally:
        await asyncio.to_thread(down, load_settings())


async def started(children: AsyncExitStack, arguments: list[str], log: Path) -> Child:
    """A command that runs until the stack closes."""
    child = await Child.start(arguments, log)
    children.push_async_callback(child.stop, 40)
    return child


async def _ready(session: Session, worker: Child) -> None:
    async with asyncio.timeout(READY_S):
        while await session.database.workers.find_one({"state": "ready"}) is None:
            if worker.process.returncode is not None:
                raise ModelError(f"The worker ended before it was ready. Its log:\n{worker.last_words()}")
            await asyncio.sleep(POLL_S)


def _suite(load: Load, number: int) -> Any:
    """Two-turn conversations as plain text, since a model of random weights has no chat template."""
    from nightjar.jobs.sequences import Mode, Sequence, TurnSpec
    from nightjar.pipeline.suites.content import SuiteContent

    chooser = random.Random(2000 + number)  # noqa: S311  # a seeded workload is the point

    def question() -> TurnSpec:
        return TurnSpec(prompt=" ".join(word(chooser.randrange(10_000)) for _ in range(load.question_words)))

    sequences = tuple(
        Sequence(
            id=f"chat-{chat}",
            mode=Mode.COMPLETION,
            turns=(question(), question()),
            parameters={**SAMPLING, "max_tokens": load.reply_tokens},
        )
        for chat in range(load.chats)
    )
    return SuiteContent(name=f"bench-{number}", sequences=sequences)


def _same_lengths(jobs: list[dict[str, Any]], load: Load, number: int) -> Workload:
    """Conversations of different ids, with prompts as long as the jobs' were."""
    chooser = random.Random(3000 + number)  # noqa: S311
    chats: list[BenchChat] = []
    for job in jobs:
        known = 0
        turns: list[Ids] = []
        for turn in job["turns"]:
            turns.append(tuple(chooser.randrange(300, 500) for _ in range(turn["prompt_tokens"] - known)))
            known = turn["prompt_tokens"] + len(turn["draws"][0]["reply_ids"])
        chats.append(BenchChat(turns=tuple(turns), seed=len(chats)))
    return Workload(name="whole pipeline", chats=tuple(chats), reply_tokens=load.reply_tokens, at_once=load.slots)
