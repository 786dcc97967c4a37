"""Judging a run on a real MongoDB: planned once, whoever dies; judged by a scripted judge; judged again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ModelError, UnknownNameError, UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, PublishedModel, Run
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database, insert_absent, utc_now
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.judging import read_judged, write_jobs
from nightjar.pipeline.judging.start import judge_again
from nightjar.pipeline.judging.write_jobs import write_judging
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests import factories
from tests.documents import take_judging
from tests.workbench import Bench, make_run, opened_bench, until

JUDGE_FILE = "1" * 64


def rubric(best: str = "good", **changes: Any) -> dict[str, Any]:
    scale = {"1": "bad", "2": "fair", "3": best}
    criteria = [{"name": name, "description": "d", "scale": scale} for name in ("plot", "voice")]
    return {"name": "r", "criteria": criteria, **changes}


def verdicts(prompt: str, seed: int) -> str:
    """A judge that finds every plot good and every voice fair, and reads what it is asked for."""
    asked = re.findall("Judge by ([a-z]+) alone", prompt)[-1]
    return json.dumps({"reason": f"As {asked} goes.", "score": {"plot": 3, "voice": 2}[asked]})


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database, services, Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=5)
    ) as bench:
        yield bench


async def judge_rows(database: Database, run: str) -> list[dict[str, Any]]:
    return await database.jobs.find({"run": run, "kind": JobKind.JUDGE}).sort("order", 1).to_list()


async def run_now(run_id: str) -> Run:
    run = await Run.get(run_id)
    assert run is not None
    return run


async def becomes(run_id: str, status: RunStatus) -> None:
    async def is_now() -> bool:
        return (await run_now(run_id)).status is status

    await until(is_now, within_s=60)


async def stored(database: Database, **changes: Any) -> Run:
    """The synthetic run, generated and about to be judged."""
    run = await factories.store(database, status=RunStatus.JUDGING)
    judging = take_judging({"rubric": rubric(), "judges": ["judge"], **changes})
    await database.runs.update_one({"_id": run.id}, {"$set": {"judging": judging.model_dump()}})
    return await run_now(run.id)


async def test_planning_goes_on_where_it_was_killed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of a batch and planned again: the same jobs as in one go, each once, none restarted."""
    monkeypatch.setattr(read_judged, "BATCH_JOBS", 5)
    run = await stored(database)
    planned = await write_judging(run, database)
    complete = await judge_rows(database, run.id)
    assert planned == len(complete) > 20

    whole = insert_absent
    inserts = 0

    async def killed(collection: Any, rows: Any) -> None:
        nonlocal inserts
        inserts += 1
        if inserts == 6:  # the third batch's jobs, half of them
            await whole(collection, rows[: len(rows) // 2])
            raise asyncio.CancelledError
        await whole(collection, rows)

    await database.jobs.delete_many({"kind": JobKind.JUDGE})
    monkeypatch.setattr(write_jobs, "insert_absent", killed)
    with pytest.raises(asyncio.CancelledError):
        await write_judging(run, database)
    half = await judge_rows(database, run.id)
    assert 0 < len(half) < len(complete)
    await database.jobs.update_one({"_id": half[0]["_id"]}, {"$set": {"status": JobStatus.DONE}})

    monkeypatch.setattr(write_jobs, "insert_absent", whole)
    assert await write_judging(run, database) == planned
    again = await judge_rows(database, run.id)
    assert [(row["_id"], row["order"], row["payload"]) for row in again] == [
        (row["_id"], row["order"], row["payload"]) for row in complete
    ]
    assert again[0]["status"] == JobStatus.DONE


async def test_what_needs_no_judge_gets_none(database: Database) -> None:
    """Each good reply of a finished job has a judge job that names it; failures and dead jobs have none."""
    run = await stored(database)
    await write_judging(run, database)
    replies = {
        (job["_id"], turn["index"])
        for job in await database.jobs.find({"kind": JobKind.REPLY, "status": JobStatus.DONE}).to_list()
        for turn in job["turns"]
        if not turn["draws"][0]["empty"] and not turn["draws"][0]["degenerate"]
    }
    places = [(row["payload"]["job"], row["payload"]["turn"]) for row in await judge_rows(database, run.id)]
    assert len(places) == len(set(places))
    assert set(places) == replies


async def test_a_run_is_judged_and_closed(bench: Bench) -> None:
    """ACTIVE, JUDGING, DONE: the judge's worker does the judging, and the report has numbers and reasons."""
    await make_run("r", sequences=2, turns=2, rubric=rubric(), judges=["judge"])
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=2)):
            await becomes("r", RunStatus.JUDGING)
            assert not await Job.find({"run": "r", "kind": JobKind.JUDGE, "status": JobStatus.DONE}).to_list()
        async with bench.worker(ScriptedEngine(verdicts, name="judge", digest=JUDGE_FILE, slots=2), name="host:2:2"):
            await becomes("r", RunStatus.DONE)
    jobs = await judge_rows(bench.database, "r")
    assert [(job["status"], job["turns_total"]) for job in jobs] == [(JobStatus.DONE, 2)] * 4
    assert all(job["turns"][1]["reused_tokens"] > 100 for job in jobs), "the second criterion shares its prefix"
    report = await collect("r", bench.database)
    assert [job.id for job in report.jobs] == [job.id for job in await _replies("r")], "judges' jobs are no replies"
    for turn in (turn for job in report.jobs for turn in job.turns):
        assert turn.scores["judge"].value == 2.5
        assert (turn.scores["judge.plot"].value, turn.scores["judge.plot"].reason) == (3, "As plot goes.")
    metric = report.models[0].total.metrics["judge"]
    assert (metric.mean, metric.n, metric.unscored) == (2.5, 2, 0)
    assert report.judging is not None
    [held_by] = report.judging.bench.grammar_engines["judge"]
    assert held_by == ScriptedEngine().load.grammar_engine


async def test_a_verdict_that_never_came_is_missing(bench: Bench) -> None:
    """A prompt too long for the judge is refused, not trimmed; prose is no number. Both are unscored, with reasons."""
    await make_run("r", sequences=1, turns=2, rubric=rubric(), judges=["judge"], max_tries=1)
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=1)):
            await becomes("r", RunStatus.JUDGING)
        await until(lambda: _planned("r"))
        _, second = await judge_rows(bench.database, "r")
        prose = ScriptedEngine(lambda *_: "Rather good.", name="judge", digest=JUDGE_FILE, slots=1, context=1000)
        await _lengthen(bench.database, second["sequence_document"])
        async with bench.worker(prose, name="host:2:2"):
            await becomes("r", RunStatus.DONE)
    report = await collect("r", bench.database)
    scores = [turn.scores["judge"] for job in report.jobs for turn in job.turns]
    assert [score.value for score in scores] == [None, None]
    assert "no whole JSON" in (scores[0].reason or "")
    assert "DEAD" in (scores[1].reason or "")
    assert "tokens" in (scores[1].reason or "")


async def test_judged_again_only_new_verdicts_count(bench: Bench) -> None:
    """Another rubric: a DONE run is judged again without generating replies; old verdicts stay but no longer count."""
    await make_run("r", sequences=2, turns=1, rubric=rubric(), judges=["judge"])
    low = ScriptedEngine(
        lambda prompt, seed: '{"reason": "Dull.", "score": 1}', name="judge", digest=JUDGE_FILE, slots=1
    )
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=1)), bench.worker(low, name="host:2:2"):
            await becomes("r", RunStatus.DONE)
        replies = [job.turns for job in await _replies("r")]
        assert await _means("r", bench.database) == [1.0, 1.0]

        judged = await judge_again(await run_now("r"), ["judge"], rubric("splendid"), bench.database)
        assert judged.status is RunStatus.JUDGING
        async with bench.worker(ScriptedEngine(verdicts, name="judge", digest=JUDGE_FILE, slots=1), name="host:3:3"):
            await becomes("r", RunStatus.DONE)
    assert await _means("r", bench.database) == [2.5, 2.5]
    assert len(await judge_rows(bench.database, "r")) == 4
    assert [job.turns for job in await _replies("r")] == replies


async def test_the_same_rubric_again_asks_nothing_new(bench: Bench) -> None:
    """What was judged stays judged: the run is DONE again without a worker."""
    await make_run("r", sequences=1, turns=1, rubric=rubric(), judges=["judge"])
    async with bench.dispatching():
        judge = ScriptedEngine(verdicts, name="judge", digest=JUDGE_FILE, slots=1)
        async with bench.worker(ScriptedEngine(slots=1)), bench.worker(judge, name="host:2:2"):
            await becomes("r", RunStatus.DONE)
        before = await judge_rows(bench.database, "r")
        await judge_again(await run_now("r"), ["judge"], None, bench.database)
        await becomes("r", RunStatus.DONE)
    assert await judge_rows(bench.database, "r") == before
    assert await _means("r", bench.database) == [2.5]


async def test_judging_again_is_refused(database: Database) -> None:
    """Before anything is written: a run in work, an unknown judge, no rubric, a broken one, a judge that cannot."""
    await make_run("open", sequences=1)
    await make_run("done", sequences=1, status=RunStatus.DONE)
    embedder = scripted_facts("embedder", context=512, kind=ModelKind.EMBEDDING, digest="1" * 64)
    for facts in (embedder, scripted_facts("judge", context=512, kind=ModelKind.CHAT, digest="0" * 64)):
        await PublishedModel(id=facts.name, facts=facts, published_by="host", published_at=utc_now()).insert()
    broken = rubric(scope="sentence")
    for run, judge, given, error, why in [
        ("open", "judge", rubric(), UsageError, "is ACTIVE"),
        ("done", "jugde", rubric(), UnknownNameError, "'judge'"),
        ("done", "embedder", rubric(), ModelError, "cannot judge"),
        ("done", "judge", None, UsageError, "--rubric"),
        ("done", "judge", broken, UsageError, "scope"),
    ]:
        with pytest.raises(error, match=why):
            await judge_again(await run_now(run), [judge], given, database)
    assert (await run_now("done")).status is RunStatus.DONE
    assert (await run_now("done")).judging.rubric is None


async def _replies(run: str) -> list[Job]:
    return await Job.find({"run": run, "kind": JobKind.REPLY}).sort("+order").to_list()


async def _planned(run: str) -> bool:
    return (await run_now(run)).judging.planned


async def _means(run: str, database: Database) -> list[float | None]:
    report = await collect(run, database)
    return [turn.scores["judge"].value for job in report.jobs for turn in job.turns]


async def _lengthen(database: Database, document: str) -> None:
    """Makes a judge's material longer than its context."""
    field = "sequence.documents.1.text"
    await database.raw["sequences"].update_one({"_id": document}, {"$set": {field: "word " * 500}})


async def test_variants_of_one_model_are_judged_against_each_other(bench: Bench) -> None:
    """One worker serves both, each as it is asked; the judge reads the suite's own prompts and no variant's."""
    tales = tuple(Sequence(id=f"s{n}", system="Be kind.", turns=(TurnSpec(prompt=f"Tale {n}?"),)) for n in range(2))
    variants = (Variant(name="terse", system="Be brief."), Variant(name="wordy", prompt="{{prompt}} At length."))
    await import_suite(SuiteContent(name="tales", sequences=tales, variants=variants), bench.database)
    pairwise = {"name": "p", "method": "pairwise", "criteria": [{"name": "plot", "description": "d"}]}
    names = {"models": ("scripted",), "judges": ("judge",), "known_models": ("scripted", "judge")}
    asked = make_request(suite="tales", name="ab", rubric=pairwise, **names)
    run = (await enqueue(asked, bench.database)).run
    seen: dict[str, list[str]] = {"model": [], "judge": []}

    def reply(prompt: str, seed: int) -> str:
        seen["model"].append(prompt)
        return "A long tale." if "At length" in prompt else "A tale."

    def choose(prompt: str, seed: int) -> str:
        seen["judge"].append(prompt)
        first = prompt.index("A long tale.") < prompt.rindex("A tale.")
        return json.dumps({"reason": "longer", "choice": "1" if first else "2"})

    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(reply, slots=2)):
            await becomes(run.id, RunStatus.JUDGING)
        async with bench.worker(ScriptedEngine(choose, name="judge", digest=JUDGE_FILE, slots=2), name="host:2:2"):
            await becomes(run.id, RunStatus.DONE)
    assert len(seen["model"]) == 4
    for prompt in seen["model"]:  # each contestant as it is meant to be asked
        assert ("Be brief." in prompt, "Be kind." in prompt) == ("At length" not in prompt, "At length" in prompt)
    assert len(seen["judge"]) == 4  # two pairs in both orders
    for prompt in seen["judge"]:
        assert "Be kind." in prompt
        assert "Be brief." not in prompt
        assert "At length." not in prompt
    report = await collect(run.id, bench.database)
    means = {model.name: model.total.metrics["judge.plot"].mean for model in report.models}
    assert means == {"scripted+terse": 0.0, "scripted+wordy": 1.0}
    assert report.judging is not None
    assert {result.names for result in report.judging.bench.pairs} == {("scripted+terse", "scripted+wordy")}
    rows = await Job.find({"run": run.id, "kind": JobKind.REPLY}).to_list()
    assert {(job.model, job.variant) for job in rows} == {("scripted", "terse"), ("scripted", "wordy")}
    assert len({(job.sequence, job.turns[0].draw.seed) for job in rows}) == 2  # draws are paired
