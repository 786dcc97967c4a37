"""A policy by nearest prompts as a model of a run: decided once, when the run is made, as a live request would be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import numpy as np
import pytest

from nightjar.config.errors import EngineError, ModelError, NightjarError, UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Schedule
from nightjar.jobs.published import publish_model
from nightjar.jobs.routing.policies import activate_policy, active_policy
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.jobs.sequences import FixedMessage, MessageRole, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.pipeline.nights.schedules import add_schedule, fire_due
from nightjar.pipeline.runs.producer import Enqueued, enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.runs.write_jobs import finish_expansion
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.web import nearest as asked_by_web
from nightjar.web.nearest import NearestPolicies
from nightjar.workers.engine.fake import ScriptedEngine
from tests.integration.remote.test_nearest_policies import CLOUD, LOCAL, learn
from tests.word_embedder import WordEmbedder
from tests.workbench import Bench

CHAT = "router:chat"
WEATHER, ALGEBRA, OTHER = "tell me about weather weather 999", "tell me about algebra algebra 999", "something else"
PROMPTS = {"known": WEATHER, "worse": ALGEBRA, "unlike": OTHER, "again": WEATHER}


def opener(embedder: WordEmbedder) -> EmbedderOpener:
    @asynccontextmanager
    async def opened(needed_by: str) -> AsyncIterator[WordEmbedder]:
        yield embedder

    return opened


async def prepare(database: Database) -> None:
    """Both models are known, the policy is active; a suite with a sequence for each of PROMPTS and one more."""
    for name in (LOCAL, CLOUD):
        await publish_model(database, ScriptedEngine(lambda prompt, seed: "Yes.", name=name).facts, by="test")
    sequences = [
        PromptSequence(id=name, turns=(TurnSpec(prompt=prompt), TurnSpec(prompt=OTHER)))
        for name, prompt in PROMPTS.items()
    ]
    said = (
        FixedMessage(role=MessageRole.USER, text=WEATHER),
        FixedMessage(role=MessageRole.ASSISTANT, text="It will rain."),
    )
    sequences.append(PromptSequence(id="going-on", messages=said, turns=(TurnSpec(prompt=ALGEBRA),)))
    await import_suite(SuiteContent(name="tales", sequences=tuple(sequences)), database)
    await activate_policy(await learn(database, WordEmbedder()), database)


async def asked(database: Database, embedder: WordEmbedder, **options: object) -> Enqueued:
    request = make_request(**{"suite": "tales", "models": (CHAT,), "name": "r", **options})
    return await enqueue(request, database, embedder=opener(embedder))


async def decisions(run: Run) -> dict[str, tuple[str, str]]:
    """Sequence -> (model, reason), of the first repeat."""
    jobs = await Job.find({"run": run.id, "routed.asked_as": CHAT, "repeat": 0}).to_list()
    return {job.sequence: (job.model, job.routed.steps[0].reason) for job in jobs if job.routed is not None}


async def test_each_sequence_goes_where_a_live_request_would(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what its conversation begins with, and each beginning is embedded once."""
    await prepare(database)
    embedder = WordEmbedder()
    made = await asked(database, embedder)
    assert sorted(embedder.texts) == sorted({WEATHER, ALGEBRA, OTHER})
    decided = await decisions(made.run)
    assert {name: model for name, (model, _) in decided.items()} == {
        "known": LOCAL,
        "worse": CLOUD,
        "unlike": CLOUD,
        "again": LOCAL,
        "going-on": LOCAL,  # whatever is asked now, it began with the weather
    }
    assert "router:chat is router:chat@1: 3 sequences to local, 2 sequences to cloud." in made.warnings

    class Kept(WordEmbedder):
        async def close(self) -> None: ...

    async def opened(*_: object) -> Kept:
        return Kept()

    monkeypatch.setattr(asked_by_web, "open_embedder", opened)
    live = NearestPolicies(settings=settings)
    policy = await active_policy(CHAT)
    for name, prompt in PROMPTS.items():
        assert decided[name] == await live.choose(policy, prompt)


async def test_what_was_decided_stays(database: Database) -> None:
    """Who writes the jobs later, or more of them, needs neither embedder nor evidence: the run holds the decisions."""
    await prepare(database)
    run = (await asked(database, WordEmbedder())).run
    before = await decisions(run)
    await database.jobs.delete_many({"run": run.id})
    await database.runs.update_one({"_id": run.id}, {"$set": {"status": RunStatus.EXPANDING, "expanded": 0}})
    await database.raw["routing_evidence"].delete_many({})
    await database.raw["policies"].delete_many({})
    assert await finish_expansion(run, database) == len(before)
    assert await decisions(run) == before


async def test_a_run_grows_by_what_it_had_decided(database: Database) -> None:
    """Where the embedding model answers a little otherwise today, the run of that name is no other run."""
    await prepare(database)
    run = (await asked(database, WordEmbedder())).run
    before = await decisions(run)

    class Otherwise(WordEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
            return await super().embed([ALGEBRA for _ in texts])

    larger = await asked(database, Otherwise(), repeats=2)
    assert (larger.created, larger.jobs_added) == (False, len(before))
    assert await decisions(run) == before
    second = await Job.find({"run": run.id, "repeat": 1}).to_list()
    assert {job.sequence: job.model for job in second} == {name: model for name, (model, _) in before.items()}


class _Failing(WordEmbedder):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def embed(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        raise self._error


@pytest.mark.parametrize(
    ("embedder", "error", "says"),
    [
        (None, UsageError, "`memory_model` is not set here. Set it to words"),
        (WordEmbedder("b" * 64), UsageError, "Set `memory_model` to that one, or learn a new version"),
        (_Failing(ModelError("could not start: no memory.")), ModelError, "no memory. Until it can, name a policy"),
        (_Failing(EngineError("It ended twice.")), EngineError, "router:chat@1 goes by the nearest prompts"),
    ],
)
async def test_without_vectors_nothing_is_written(
    database: Database, embedder: WordEmbedder | None, error: type[NightjarError], says: str
) -> None:
    await prepare(database)
    request = make_request(suite="tales", models=(CHAT,), name="r")
    with pytest.raises(error, match=says):
        await enqueue(request, database, embedder=None if embedder is None else opener(embedder))
    assert await Run.find_all().count() == 0


async def test_nights_embed_where_they_are_fired(database: Database) -> None:
    """A dispatcher whose host has no embedder says so on the schedule, and makes no run."""
    await prepare(database)
    mine = opener(WordEmbedder())
    options = {"suite": "tales", "models": (CHAT,)}
    with pytest.raises(UsageError, match="`memory_model` is not set here"):
        await add_schedule("nightly", "0 2 * * *", "UTC", options, database)
    await add_schedule("nightly", "0 2 * * *", "UTC", options, database, embedder=mine)
    tomorrow = await database.now() + timedelta(days=1)
    assert await fire_due(database, tomorrow) == []
    schedule = await Schedule.get("nightly")
    assert schedule is not None
    assert "`memory_model` is not set here" in (schedule.last_error or "")
    [run] = await fire_due(database, tomorrow + timedelta(days=1), embedder=mine)
    assert {model for model, _ in (await decisions(run)).values()} == {LOCAL, CLOUD}


async def test_a_dispatcher_embeds_with_its_hosts(bench: Bench) -> None:
    await prepare(bench.database)
    mine = opener(WordEmbedder())
    options = {"suite": "tales", "models": (CHAT,)}
    await add_schedule("hourly", "0 * * * *", "UTC", options, bench.database, embedder=mine)
    past = await bench.database.now() - timedelta(hours=2)
    await bench.database.raw["schedules"].update_one({}, {"$set": {"last_tick": past}})
    await Dispatcher(bench.database, bench.doorbell, bench.settings, embedder=mine).fire()
    [run] = await Run.find_all().to_list()
    assert {model for model, _ in (await decisions(run)).values()} == {LOCAL, CLOUD}
