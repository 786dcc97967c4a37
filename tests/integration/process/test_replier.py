"""A worker without an engine: a run on a replier that returns only texts, from enqueueing to report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ModelError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, PublishedModel, Run
from nightjar.jobs.identity import chain_digest
from nightjar.jobs.models import ModelSource
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve
from tests.scripted_replier import ScriptedReplier, texts, tokens
from tests.workbench import Bench, make_run, opened_bench, until

REPLIES = [f"Reply {number} of them." for number in range(4)]
VERDICT = json.dumps({"reason": "It is told well.", "score": 3})
RUBRIC = {
    "name": "r",
    "criteria": [{"name": "plot", "description": "d", "scale": {"1": "bad", "2": "fair", "3": "good"}}],
}


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database, services, Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=0.3)
    ) as bench:
        yield bench


async def run_now(name: str) -> Run:
    run = await Run.find_one({"name": name})
    assert run is not None
    return run


async def becomes(name: str, status: RunStatus) -> None:
    async def is_now() -> bool:
        return (await run_now(name)).status is status

    await until(is_now, within_s=60)


async def jobs_of(run: Run, kind: JobKind) -> list[Job]:
    return await Job.find({"run": run.id, "kind": kind}).sort("+order").to_list()


async def worker(bench: Bench, replier: ScriptedReplier) -> int:
    """A whole worker process, with this replier in place of a loaded model, until its backlog is empty."""

    async def loader(entry: ModelEntry, options: WorkerOptions, settings: Settings) -> ScriptedReplier:
        return replier

    def find(name: str, settings: Settings) -> ModelEntry:
        return ModelEntry(
            name=name, path=Path("none.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None
        )

    options = WorkerOptions(model=replier.name, burst=True, probe=False, started_ms=1)
    return await asyncio.wait_for(
        serve(options, bench.settings, bench.database, bench.services.redis, find=find, loader=loader), 60
    )


async def test_a_whole_evaluation(bench: Bench) -> None:
    """Generated, judged under a schema, collected and reported, all without a token id."""
    sequences = [
        Sequence.model_validate({"id": f"s{n}", "turns": [{"prompt": "Begin."}, {"prompt": "Go on."}]}) for n in (0, 1)
    ]
    await import_suite(SuiteContent(name="tales", sequences=tuple(sequences)), bench.database)
    models: dict[str, Any] = {"models": ("remote",), "judges": ("judge",), "known_models": ("remote", "judge")}
    request = make_request(suite="tales", name="night", rubric=RUBRIC, **models)
    await enqueue(request, bench.database)

    replier = ScriptedReplier([*REPLIES])
    judge = ScriptedReplier([VERDICT] * 4, name="judge")
    async with bench.dispatching():
        assert await worker(bench, replier) == 0
        await becomes("night", RunStatus.JUDGING)
        await until(lambda: bench.database.jobs.find_one({"kind": JobKind.JUDGE}))
        assert await worker(bench, judge) == 0
        await becomes("night", RunStatus.DONE)

    run = await run_now("night")
    replies, judgings = await jobs_of(run, JobKind.REPLY), await jobs_of(run, JobKind.JUDGE)
    assert {job.status for job in (*replies, *judgings)} == {JobStatus.DONE}
    assert sorted(text for job in replies for text in texts(job.turns)) == REPLIES
    assert replier.schemas == [None] * 4
    assert all(schema is not None for schema in judge.schemas)
    assert len(judge.schemas) == 4
    for job in replies:
        chain = ""
        for turn in job.turns:
            assert turn.draw.reply_ids is None
            chain = chain_digest(chain, turn.index, turn.prompt, turn.draw.raw_text)
            assert turn.chain == chain

    known = await PublishedModel.get("remote")
    assert known is not None
    assert (known.facts.source, known.facts.file) == (ModelSource.REMOTE, None)
    assert run.models[0].facts == known.facts

    report = await collect(run.id, bench.database)
    turns = [turn for job in report.jobs for turn in job.turns]
    assert sorted(turn.reply for turn in turns) == REPLIES
    assert [turn.reply_tokens for turn in turns] == [tokens(turn.reply) for turn in turns]
    assert {turn.scores["judge"].value for turn in turns} == {3}
    assert report.models[0].total.metrics["judge"].n == 2
    assert all(REPLIES[0] in render(report, form) for form in ("html", "csv", "json"))
    assert "remote" in render(report, "md")
    data = json.loads(render(report, "json"))
    assert data["models"][0]["facts"]["name"] == "remote"
    assert data["models"][0]["facts"]["file_name"] is None
    assert {Path(file).suffix for file in run.outcome.files} >= {".html", ".json"}


async def test_a_reply_cancelled_half_way_leaves_no_turn(bench: Bench) -> None:
    """The worker stops: the job is PENDING with no turn and no try counted, and another worker finishes it."""
    await make_run("r", sequences=1, turns=2, model="remote")
    stuck = ScriptedReplier(["never given"], gate=asyncio.Event())
    async with bench.dispatching():
        async with bench.worker(stuck) as first:
            await until(lambda: stuck.holding)
            first.process.drain()
            assert await asyncio.wait_for(first.task, 20) == 0
        assert (stuck.cancelled, stuck.answers) == (1, ["never given"])
        (job,) = await Job.find({"run": "r"}).to_list()
        assert (job.status, job.turns, job.turns_committed, job.tries) == (JobStatus.PENDING, [], 0, 0)
        assert [attempt.end for attempt in job.attempts] == [AttemptEnd.RELEASED]

        async with bench.worker(ScriptedReplier(REPLIES[:2]), name="host:2:2"):
            await becomes("r", RunStatus.DONE)
    (job,) = await Job.find({"run": "r"}).to_list()
    assert (job.status, texts(job.turns), job.tries) == (JobStatus.DONE, REPLIES[:2], 0)


async def test_a_lease_is_kept_while_a_reply_is_under_way(bench: Bench) -> None:
    """Replies may take longer than a lease: the replier says which requests it is working on."""
    await make_run("r", sequences=1, turns=1, model="remote")
    slow = ScriptedReplier(REPLIES[:1], gate=asyncio.Event())
    assert slow.gate is not None
    async with bench.dispatching(), bench.worker(slow):
        await until(lambda: slow.holding)
        await asyncio.sleep(1.5 * bench.settings.lease_s)
        slow.gate.set()
        await becomes("r", RunStatus.DONE)
    (job,) = await Job.find({"run": "r"}).to_list()
    assert (job.lapses, job.fence, slow.cancelled) == (0, 1, 0)


async def test_given_texts_are_nothing_for_a_remote_model(bench: Bench) -> None:
    """Where its facts are known the run is refused; else its jobs die at once, with the reason."""
    choices = {"texts": ["x", "y"], "right": [0]}
    sequence = Sequence.model_validate(
        {"id": "q", "mode": "completion", "turns": [{"prompt": "Q", "choices": choices}]}
    )
    await import_suite(SuiteContent(name="choices", sequences=(sequence,)), bench.database)
    asked: dict[str, Any] = {"suite": "choices", "models": ("remote",), "known_models": ("remote",)}
    await enqueue(make_request(name="blind", **asked), bench.database)

    async with bench.dispatching():
        assert await worker(bench, ScriptedReplier([])) == 0
        await becomes("blind", RunStatus.DONE)

    (job,) = await jobs_of(await run_now("blind"), JobKind.REPLY)
    assert (job.status, job.turns_committed) == (JobStatus.DEAD, 0)
    assert "cannot say how likely given texts are" in (job.reason or "")
    with pytest.raises(ModelError, match="is a remote model, and sequence 'q' asks how likely"):
        await enqueue(make_request(name="seen", **asked), bench.database)
