"""Live requests with a worker on the scripted engine, real MongoDB and Redis: no dispatcher runs in any of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import (
    CancelledReplyError,
    LiveError,
    NotServedError,
    QueueFullError,
    RestartedError,
    TooLongError,
    UnknownNameError,
    UsageError,
)
from nightjar.config.live_settings import LiveSettings
from nightjar.config.settings import Settings
from nightjar.jobs import backlog
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.live import bell as live_bell
from nightjar.jobs.live import runs as live_runs
from nightjar.jobs.live.kept import list_kept
from nightjar.jobs.live.places import wanted_models
from nightjar.jobs.live.requests import LiveReply, LiveRequests
from nightjar.jobs.live.text import LivePiece
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.lookup import find_run
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.published import publish_model
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.states import JobStatus, RunKind
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.run import list_runs
from nightjar.jobs.status.views import ServiceState
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests.workbench import Bench, make_run, opened_bench, until

HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
LONG = "word " * 120
"""A reply of 600 tokens of the scripted engine."""


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "home", lease_s=15, drain_s=5)) as bench:
        yield bench


@asynccontextmanager
async def live(bench: Bench, *, doorbell: Doorbell | None = None, **settings: Any) -> AsyncIterator[LiveRequests]:
    await publish_model(
        bench.database, scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64), "t"
    )
    async with LiveRequests(bench.database, doorbell or bench.doorbell, LiveSettings(**settings)) as requests:
        yield requests


def ask(messages: Any = HELLO, *, user: str = "ada", model: str = "scripted", **more: Any) -> LiveAsk:
    return LiveAsk(user=user, model=model, messages=messages, **more)


def slow(script: Callable[[str, int], str] | None = None, *, slots: int = 2) -> ScriptedEngine:
    return ScriptedEngine(script or (lambda prompt, seed: LONG), slots=slots, token_delay_s=0.005)


async def first_piece(reply: LiveReply, pieces: AsyncIterator[LivePiece]) -> str:
    return (await asyncio.wait_for(anext(pieces), 30)).text


async def test_a_request_is_pushed_streamed_and_hidden(bench: Bench) -> None:
    """Its text comes in pieces while it is generated, and no list, status or dispatcher knows of it."""
    async with live(bench) as requests, bench.worker(slow()):
        reply = await requests.submit(ask(seed=7, parameters={"max_tokens": 400}))
        pieces = [piece.text async for piece in reply]
        end = reply.end
        assert end is not None
        assert len(pieces) > 2
        assert "".join(pieces) == end.reply == LONG[:400]
        assert (end.finish_reason, end.reply_tokens, end.seed, end.fence) == ("length", 400, 7, 1)
        assert end.claim_s is not None
        assert end.chances == ()
        again = await requests.submit(ask(seed=7, parameters={"max_tokens": 5, "top_logprobs": 1}))
        chances = await again.result()
        assert chances.reused_tokens > 0
        assert "".join(chance.text for chance in chances.chances) == chances.reply == "word "
        assert chances.chances[0].top == (("w", chances.chances[0].logprob),)
    (run,) = await Run.find({"kind": RunKind.LIVE}).to_list()
    assert run.user == "ada"
    assert (await read_overview(bench.database, ServiceState(ok=True))).runs == []
    assert await list_runs(10, bench.database) == []
    assert await backlog.runs_in_work(bench.database) == []
    assert not await backlog.model_has_work("scripted", bench.database)
    for name in (run.name, run.id, run.id[:8]):
        with pytest.raises(UnknownNameError):
            await find_run(name, bench.database)


async def test_cancelling_ends_the_generation(bench: Bench) -> None:
    async with live(bench) as requests, bench.worker(slow()) as worker:
        reply = await requests.submit(ask())
        async with aclosing(aiter(reply)) as pieces:  # type: ignore[type-var]
            assert LONG.startswith(await first_piece(reply, pieces))
            await reply.cancel()
            await until(lambda: worker.engine.stats().slots_used == 0, within_s=5)
            with pytest.raises(CancelledReplyError):
                async for _ in pieces:
                    pass
        job = await Job.get(reply.job.id)
        assert job is not None
        assert (job.status, job.turns, job.fence) == (JobStatus.CANCELLED, [], 2)
        assert not await requests.cancel(reply.job.id)


async def test_a_request_that_nobody_waits_for_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has gone without a word: the mark of a watcher is not renewed."""
    monkeypatch.setattr(live_bell, "WATCH_S", 1)
    endless = ScriptedEngine(lambda prompt, seed: "word " * 10_000, slots=2, context=65_536, token_delay_s=0.005)
    async with live(bench) as requests, bench.worker(endless) as worker:
        reply = await requests.submit(ask(parameters={"max_tokens": 50_000}))
        async with aclosing(aiter(reply)) as pieces:  # type: ignore[type-var]
            await first_piece(reply, pieces)
        await until(lambda: worker.engine.stats().slots_used == 0, within_s=30)
        await until(lambda: Job.find_one({"_id": reply.job.id, "status": JobStatus.CANCELLED}))


@pytest.mark.parametrize("same", [True, False])
async def test_another_attempt(bench: Bench, same: bool) -> None:
    """A worker loses the job in the middle. The next attempt goes on where it says the same, else there is an error."""
    attempts = count()
    engine = slow(lambda prompt, seed: LONG if same or next(attempts) == 0 else "other " * 90)
    async with live(bench) as requests, bench.worker(engine):
        reply = await requests.submit(ask(parameters={"max_tokens": 600}))
        async with aclosing(aiter(reply)) as pieces:  # type: ignore[type-var]
            text = await first_piece(reply, pieces)
            lost = {"status": JobStatus.PENDING, "owner": None, "lease_until": None, "due_at": utc_now()}
            await bench.database.jobs.update_one({"_id": reply.job.id}, {"$set": lost, "$inc": {"fence": 1}})
            if same:
                text += "".join([piece.text async for piece in pieces])
                assert text == LONG
                assert reply.end is not None
                assert reply.end.fence == 3
            else:
                with pytest.raises(RestartedError):
                    async for _ in pieces:
                        pass


async def test_who_comes_later_hears_the_text_from_the_beginning(bench: Bench) -> None:
    """Another process follows the reply half-way; both have it whole, and not only at its end."""
    async with live(bench) as requests, live(bench) as others, bench.worker(slow()):
        reply = await requests.submit(ask(parameters={"max_tokens": 600}))
        async with aclosing(aiter(reply)) as pieces:  # type: ignore[type-var]
            text = await first_piece(reply, pieces)
            other = await others.follow(reply.job.id, "ada")
            async with aclosing(aiter(other)) as later:  # type: ignore[type-var]
                begun = await first_piece(other, later)
                assert (await Job.get(reply.job.id)).status is JobStatus.RUNNING  # type: ignore[union-attr]
                assert begun + "".join([piece.text async for piece in later]) == LONG
            assert text + "".join([piece.text async for piece in pieces]) == LONG


async def test_without_redis_the_reply_comes_all_the_same(bench: Bench) -> None:
    """Neither is the job pushed nor its text heard: worker and client look into MongoDB."""
    nowhere = Doorbell.unconnected(SecretStr("redis://127.0.0.1:1"))
    async with live(bench, doorbell=nowhere) as requests, bench.worker(ScriptedEngine(slots=2)):
        end = await asyncio.wait_for((await requests.submit(ask())).result(), 30)
    assert end.reply.startswith("You wrote ")
    await nowhere.close()


async def test_what_cannot_be_asked_is_refused_with_its_reason(bench: Bench) -> None:
    async with live(bench, queue=1) as requests:
        with pytest.raises(UnknownNameError, match="Did you mean 'scripted'"):
            await requests.submit(ask(model="scriptd"))
        with pytest.raises(UsageError, match="Message 1 of 1"):
            await requests.submit(ask([{"role": "king", "content": "x"}]))
        with pytest.raises(UsageError, match="temperatur"):
            await requests.submit(ask(parameters={"temperatur": 1}))
        await publish_model(
            bench.database, scripted_facts("e", context=9, kind=ModelKind.EMBEDDING, digest="1" * 64), "t"
        )
        with pytest.raises(UsageError, match="embedding model"):
            await requests.submit(ask(model="e"))
        too_long = await requests.submit(ask([{"role": "user", "content": "x" * 5000}]))
        with pytest.raises(QueueFullError) as full:
            await requests.submit(ask())
        assert full.value.retry_after_s > 0
        async with bench.worker(ScriptedEngine(slots=2)):
            with pytest.raises(TooLongError) as refused:
                await asyncio.wait_for(too_long.result(), 30)
        assert (refused.value.tokens > 5000, refused.value.context) == (True, 4096)


async def test_a_model_that_nobody_serves_is_wanted_and_then_refused(bench: Bench) -> None:
    async with live(bench, wait_s=1) as requests:
        reply = await requests.submit(ask())
        with pytest.raises(NotServedError, match="nightjar worker --model scripted"):
            await asyncio.wait_for(reply.result(), 30)
    assert (await wanted_models(bench.database))["scripted"].asking
    job = await Job.get(reply.job.id)
    assert job is not None
    assert job.status is JobStatus.CANCELLED


async def test_kept_slots(bench: Bench) -> None:
    """A chat does not wait for the long reply of a run; that turn is marked, and no other."""
    bench.settings = bench.settings.model_copy(update={"drain_s": 0.1})
    await make_run("night", sequences=2, turns=1)
    await Run.find_one({"_id": "night"}).update({"$set": {"set_parameters": {"max_tokens": 600}}})
    started = asyncio.Event()

    def script(prompt: str, seed: int) -> str:
        if "Hello" not in prompt:
            started.set()
        return "Hi." if "Hello" in prompt else LONG

    engine = ScriptedEngine(script, slots=2, token_delay_s=0.05)
    async with live(bench) as requests, bench.dispatching(), bench.worker(engine, live=1):
        await asyncio.wait_for(started.wait(), 60)
        end = await asyncio.wait_for((await requests.submit(ask())).result(), 60)
        assert end.reply == "Hi."
        assert await Job.find({"run": "night", "status": JobStatus.DONE}).count() == 0
        engine.backend._token_delay_s = 0.0  # the night's reply would have taken half a minute
        await until(lambda: Job.find_one({"run": "night", "status": JobStatus.DONE}), within_s=60)
        first = await Job.find_one({"run": "night", "status": JobStatus.DONE})
        assert first is not None
        assert first.turns[0].shared
        await until(lambda: _ended(2), within_s=60)
    assert sorted([job.turns[0].shared for job in await Job.find({"run": "night"}).to_list()]) == [False, True]


async def _ended(jobs: int) -> bool:
    return await Job.find({"run": "night", "status": JobStatus.DONE}).count() == jobs


async def test_only_its_user_sees_it_and_texts_go_when_they_should(bench: Bench) -> None:
    """store=false drops texts at the end; a kept request is read again, and removed with its sequence later."""
    sequences = bench.database.raw["sequences"]
    async with live(bench) as requests, bench.worker(ScriptedEngine(slots=2)):
        kept = await (await requests.submit(ask(seed=1))).result()
        unstored = await (await requests.submit(ask(store=False))).result()
        assert unstored.reply.startswith("You wrote ")
        with pytest.raises(UnknownNameError):
            await requests.follow(kept.job, "bob")
        assert not await requests.cancel(kept.job, user="bob")
        assert (await (await requests.follow(kept.job, "ada")).result()).reply == kept.reply
        with pytest.raises(LiveError, match="not to be stored"):
            await (await requests.follow(unstored.job, "ada")).result()
        assert [request.id for request in await list_kept(bench.database, user="ada")] == [unstored.job, kept.job]
        assert await list_kept(bench.database, user="bob") == []
        assert "You wrote" not in str(await bench.database.jobs.find_one({"_id": unstored.job}))
        assert await sequences.count_documents({}) == 1
        assert await live_runs.remove_ended_live(3600, bench.database) == 0
        assert await live_runs.remove_ended_live(0, bench.database) == 2
    assert await sequences.count_documents({}) == 0
    assert await Job.find_all().count() == 0
    assert await Run.find_all().count() == 1  # of today: another request may come
    await Run.find_all().update({"$set": {"date": "2020-01-01"}})
    await live_runs.remove_ended_live(0, bench.database)
    assert await Run.find_all().count() == 0


async def test_a_crash_is_told_and_what_is_forgotten_ends(bench: Bench) -> None:
    """A request in flight when its worker crashed is not tried again: it may be why. One that nobody waits for ends."""
    async with live(bench) as requests:
        crashed, forgotten = await requests.submit(ask()), await requests.submit(ask())
        await bench.database.jobs.update_one({"_id": crashed.job.id}, {"$set": {"suspect": True}})
        await asyncio.sleep(live_runs.MISSED_S)
        assert [job for _, job, _ in await live_runs.waiting_live("scripted", 9, bench.database)] == [forgotten.job.id]
        with pytest.raises(LiveError, match="worker crashed"):
            await asyncio.wait_for(crashed.result(), 30)
        assert await live_runs.cancel_forgotten_live(60, bench.database) == 0
        long_ago = {"due_at": utc_now() - timedelta(hours=1)}
        await bench.database.jobs.update_many({}, {"$set": long_ago})
        assert await live_runs.cancel_forgotten_live(60, bench.database) == 1
    assert await Job.find({"status": JobStatus.CANCELLED}).count() == 2
    assert await live_runs.count_open(bench.database) == 0
