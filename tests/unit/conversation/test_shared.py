"""Generations shared by the conversations of a run: made once, waited for by all, begun again after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightjar.config.errors import EngineError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.records import Timings
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.conversation.shared import MOST, SharedGenerations
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.engine.request import Generation, Request
from nightjar.workers.library.find import ModelEntry


class Maker:
    """A model whose generations end when they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ready = asyncio.Event()
        self.error: Exception | None = None

    async def generate(self, request: Request) -> Generation:
        self.asked.append(request.id)
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return Generation(
            token_ids=(1,),
            text="They met.",
            finish_reason="stop",
            prompt_tokens=1,
            reused_tokens=0,
            timings=Timings(queue_s=0, prefill_s=0, decode_s=0),
        )


def request(id_: str, prompt: int = 7) -> Request:
    return Request(id=id_, prompt=(prompt,), max_tokens=9, parameters=Parameters(), seed=len(id_), final=True)


async def test_equal_requests_of_a_run_are_made_once() -> None:
    """Whoever asks first or later waits for the same; another prompt or run has its own."""
    shared, maker = SharedGenerations(), Maker()
    taken = [shared.take("run", request(name), maker.generate) for name in ("a", "b")]
    other = shared.take("run", request("c", prompt=8), maker.generate)
    elsewhere = shared.take("other run", request("d"), maker.generate)
    maker.ready.set()
    assert await taken[0].task is await taken[1].task
    assert {one.request for one in taken} == {"a"}
    await asyncio.gather(other.task, elsewhere.task)
    assert shared.take("run", request("e"), maker.generate).request == "a", "also once it is made"
    assert maker.asked == ["a", "c", "d"]


async def test_who_leaves_does_not_end_it_for_others() -> None:
    shared, maker = SharedGenerations(), Maker()

    async def wait() -> Generation:
        return await asyncio.shield(shared.take("run", request("a"), maker.generate).task)

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    maker.ready.set()
    assert (await second).text == "They met."
    assert first.cancelled()


async def test_one_that_failed_is_begun_again() -> None:
    shared, maker = SharedGenerations(), Maker()
    maker.ready.set()
    maker.error = EngineError("out of memory")
    with pytest.raises(EngineError):
        await shared.take("run", request("a"), maker.generate).task
    maker.error = None
    assert (await shared.take("run", request("b"), maker.generate).task).text == "They met."
    assert maker.asked == ["a", "b"]


async def test_with_a_store_it_is_made_there() -> None:
    """Under a key of run, model and request."""
    keys = []

    class Store:
        async def once(self, key: str, run: str, make: Callable[[], Awaitable[Generation]]) -> Generation:
            keys.append((key, run))
            return await make()

    maker = Maker()
    maker.ready.set()
    for model, prompt in (("m", 7), ("m", 8), ("n", 7)):
        shared = SharedGenerations(model, Store())
        assert (await shared.take("run", request("a", prompt), maker.generate).task).text == "They met."
    assert len(set(keys)) == 3


async def test_a_request_that_another_worker_makes_is_not_begun_here() -> None:
    """Whoever waits names no request to the engine meanwhile: it would look as if the engine had lost it."""
    theirs: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()

    class Store:
        async def once(self, key: str, run: str, make: Callable[[], Awaitable[Generation]]) -> Generation:
            return await theirs

    maker = Maker()
    shared = SharedGenerations("m", Store()).take("run", request("a"), maker.generate)
    await asyncio.sleep(0.01)
    assert not shared.begun.is_set()
    maker.ready.set()
    theirs.set_result(await maker.generate(request("elsewhere")))
    assert (await shared.task).text == "They met."
    await asyncio.wait_for(shared.begun.wait(), 1)


async def test_old_ones_are_forgotten() -> None:
    shared, maker = SharedGenerations(), Maker()
    maker.ready.set()
    for number in range(MOST + 1):
        await shared.take("run", request(str(number), prompt=number), maker.generate).task
    assert shared.take("run", request("again", prompt=0), maker.generate).request == "again"
    await asyncio.sleep(0)


@pytest.mark.parametrize(("live", "stored"), [(None, ["run"]), (object(), [])])
async def test_what_a_live_request_says_is_stored_for_nobody(live: Any, stored: list[str]) -> None:
    """Its texts go when it has been answered, or an hour later; a summary of them would stay."""
    runs = []

    class Store:
        async def once(self, key: str, run: str, make: Callable[[], Awaitable[Generation]]) -> Generation:
            runs.append(run)
            return await make()

    @asynccontextmanager
    async def watch(_: str) -> AsyncIterator[None]:
        yield

    engine = ScriptedEngine(lambda *_: "They met.")
    entry = ModelEntry(name="m", path=Path("m.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None)
    replier = LocalReplier(engine, entry)
    replier.summaries.store = Store()
    job: Any = SimpleNamespace(live=live)
    run: Any = SimpleNamespace(id="run")
    made = await replier.summarise(job, run, watch, request("a"))
    await replier.close()
    assert made.text == "They met."
    assert runs == stored
