"""Several judgings of one run on a real MongoDB: none changes another, and whoever is killed leaves nothing half done.

Judges are played by hand: their jobs get a verdict, or none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import LeaseLostError, UsageError
from nightjar.config.settings import Settings
from nightjar.jobs import ownership
from nightjar.jobs.closers import Closer, Closers
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.ending import Ending, Gate, GateKind
from nightjar.jobs.judgings import JudgingStatus
from nightjar.jobs.mongo import Database, insert_absent, utc_now
from nightjar.jobs.runs import control, judging_moves
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.closing import close, finish
from nightjar.pipeline.closing.endings import finish_ended
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import set_baseline
from nightjar.pipeline.judging import write_jobs
from nightjar.pipeline.judging.start import judge_again
from nightjar.pipeline.notify.hooks import parse_hook
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories
from tests.documents import a_turn, take_judging
from tests.integration.judging.checks import start_check
from tests.workbench import Bench, opened_bench

SCALE = {"1": "bad", "2": "fair", "3": "good"}
RUBRIC = {"name": "r", "criteria": [{"name": "plot", "description": "d", "scale": SCALE}]}
STRICT = {**RUBRIC, "name": "strict", "instructions": "Be strict."}


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path, reports_dir=tmp_path)) as bench:
        yield bench


async def now(name: str = "r") -> Run:
    run = await Run.find_one({"name": name})
    assert run is not None
    return run


async def generated(database: Database, *, judged: bool) -> Run:
    """A run whose replies are all there, about to be judged by its first judging, or to be closed without one."""
    run = await factories.store(database, repeats=1, status=RunStatus.JUDGING, name="r")
    judging = take_judging({"judges": ["judge"], "rubric": RUBRIC} if judged else {})
    gates = Ending(gates=(Gate(kind=GateKind.BELOW, metric="judge", value=2),) if judged else (), formats=("html",))
    values = {"judging": judging.model_dump(), "ending": gates.model_dump(mode="json"), "outcome.finished_at": None}
    await database.runs.update_one({"_id": run.id}, {"$set": values})
    return await now()


async def ended(bench: Bench) -> Run:
    """The same, done: by points of 3 where it was judged."""
    await bench.dispatcher.advance()
    await verdicts(bench.database, 3)
    await bench.dispatcher.close()
    run = await now()
    assert run.status is RunStatus.DONE
    return run


async def verdicts(database: Database, points: int, *, most: int = 1_000) -> int:
    """Gives so many open judge jobs their verdict; how many there were."""
    rows = await database.jobs.find({"kind": JobKind.JUDGE, "status": JobStatus.PENDING}).limit(most).to_list()
    reply = json.dumps({"reason": "So.", "score": points})
    for row in rows:
        done = {"status": JobStatus.DONE, "turns": [{"name": "plot", "draws": [{"reply": reply}]}]}
        await database.jobs.update_one({"_id": row["_id"]}, {"$set": done})
    return len(rows)


async def judge_jobs(database: Database) -> dict[str, int]:
    """How many judge jobs are in each status."""
    rows = await database.jobs.find({"kind": JobKind.JUDGE}, {"status": 1}).to_list()
    return {status: sum(row["status"] == status for row in rows) for status in {row["status"] for row in rows}}


def points(report: RunReport) -> set[float | None]:
    """The judges' scores of replies that needed a judge."""
    found = {score.value for job in report.jobs for turn in job.turns if (score := turn.scores.get("judge"))}
    return found - {1.0, None}  # replies that failed, and such that were never made


def numbers(report: RunReport) -> dict[str, Any]:
    """What a report says of its models, and how the run stands in it."""
    means = {model.name: {name: m.mean for name, m in model.total.metrics.items()} for model in report.models}
    return {"means": means, "status": report.provenance.status, "verdict": report.verdict}


def told(report: RunReport) -> str:
    return " ".join(notice.text for notice in report.notices)


async def again(database: Database, rubric: dict[str, Any] | None = STRICT, judge: str = "judge") -> Run:
    return await judge_again(await now(), [judge], rubric, database, known_models=[judge])


async def test_a_judging_that_is_cancelled_leaves_the_run_as_it_was(bench: Bench, tmp_path: Path) -> None:
    """While it is under way, too: report, verdict, page, scores and times are those of the last, byte for byte."""
    await generated(bench.database, judged=True)
    before = await ended(bench)
    page = tmp_path / "r.html"
    was, report, scores = page.read_bytes(), await collect(before.id, bench.database), await all_scores(bench)
    assert points(report) == {3.0}

    begun = await again(bench.database)
    assert (begun.status, begun.judging.shown, begun.judging.passes[1].status) == (RunStatus.JUDGING, 1, "OPEN")
    await bench.dispatcher.advance()
    assert await verdicts(bench.database, 2, most=1) == 1
    held = await claimed(bench.database)
    now_read = await collect(before.id, bench.database)
    assert numbers(now_read) == numbers(report)
    assert "Judging 2, by judge, is under way, with 1 of" in told(now_read)
    assert points(await collect(before.id, bench.database, judging=2)) == {2.0}
    assert (await set_baseline(await now(), None, bench.database)).run == before.id
    with pytest.raises(UsageError, match="only a run that is DONE can be judged"):
        await again(bench.database)

    after = await control.cancel(await now(), bench.database)
    assert (after.status, after.outcome, after.judging.shown) == (RunStatus.DONE, before.outcome, 1)
    assert after.judging.passes[0] == before.judging.passes[0]
    assert (after.judging.passes[1].status, after.judging.passes[1].reason) == (JudgingStatus.CANCELLED, "cancelled")
    assert (await judge_jobs(bench.database)).keys() == {JobStatus.DONE, JobStatus.CANCELLED}
    with pytest.raises(LeaseLostError):
        await ownership.commit_turn(held, a_turn(0, fence=held.fence), bench.database, last=True)
    assert (page.read_bytes(), await all_scores(bench)) == (was, scores)
    assert "Judging 2, by judge, was cancelled after 1 of" in told(await collect(before.id, bench.database))


async def test_a_check_of_the_judges_of_a_run_that_was_told_as_done_calls_no_hook_again(bench: Bench) -> None:
    """The report is closed again, with what the check found; the run's end stays what it was. Another judging is an end
    of its own, and so is that of a run whose jobs were tried again meanwhile."""

    async def calls() -> int:
        await finish_ended("me", bench.settings, bench.database)
        return await bench.database.raw["deliveries"].count_documents({})

    run = await generated(bench.database, judged=True)
    hooks = Ending(on_finish=(parse_hook("https://example.org/hook"),), formats=("html",))
    await bench.database.runs.update_one({"_id": run.id}, {"$set": {"ending": hooks.model_dump(mode="json")}})
    before = await ended(bench)
    assert await calls() == 1
    told = await now()

    checking = await start_check(told, [], None, bench.database, known_models=["judge"])
    assert (checking.status, checking.judged_again, checking.only_checked) == (RunStatus.JUDGING, True, True)
    checked = await ended(bench)
    assert (checked.outcome.finished_at, checked.outcome.untold) == (before.outcome.finished_at, False)
    assert checked.judging.check is not None
    assert checked.judging.check.planned
    assert await calls() == 1

    await again(bench.database)
    judged_again = await ended(bench)
    assert judged_again.outcome.untold
    assert await calls() == 2
    await start_check(await now(), [], None, bench.database, known_models=["judge"], seed=5)
    await bench.database.runs.update_one({"_id": run.id}, {"$set": {"outcome.finished_at": None}})  # as a retry does
    await ended(bench)
    assert await calls() == 3


async def all_scores(bench: Bench) -> list[dict[str, Any]]:
    return await bench.database.raw["scores"].find({"scorer": {"$regex": "^judge"}}).sort("_id", 1).to_list()


async def claimed(database: Database) -> Job:
    """An open judge job that a worker holds."""
    row = await database.jobs.find_one({"kind": JobKind.JUDGE, "status": JobStatus.PENDING})
    assert row is not None
    [job] = await ownership.claim({row["_id"]: row["fence"]}, "w", "host", 30, database)
    return job


async def test_what_a_cancelled_judging_left_is_done_by_the_next(bench: Bench, tmp_path: Path) -> None:
    """Asked for again, its verdicts count and only those that are missing are asked for; both judgings can be read."""
    await generated(bench.database, judged=True)
    before = await ended(bench)
    was = (tmp_path / "r.html").read_bytes()
    await again(bench.database)
    await bench.dispatcher.advance()
    await verdicts(bench.database, 2, most=1)
    await control.cancel(await now(), bench.database)
    wanted = (await judge_jobs(bench.database))[JobStatus.CANCELLED]

    await again(bench.database)
    await bench.dispatcher.advance()
    assert await verdicts(bench.database, 2) == wanted > 1
    await bench.dispatcher.close()
    after = await now()
    assert (after.status, after.judging.shown) == (RunStatus.DONE, 3)
    assert [one.status for one in after.judging.passes] == ["COMPLETE", "CANCELLED", "COMPLETE"]
    first, third = after.judging.passes[0], after.judging.passes[2]
    assert first == before.judging.passes[0]
    assert first.verdict is not None
    assert not first.verdict.failed
    assert third.verdict == after.outcome.verdict
    assert (third.files, third.answer) == (after.outcome.files, after.outcome.answer)
    assert (tmp_path / "r.html").read_bytes() != was
    assert points(await collect(after.id, bench.database)) == {2.0}
    earlier = await collect(after.id, bench.database, judging=1)
    assert (points(earlier), earlier.provenance.judging, earlier.verdict) == ({3.0}, 1, first.verdict)
    assert {row["value"] for row in await all_scores(bench) if row["judging"] == 1} > {3.0}
    assert {row["value"] for row in await all_scores(bench) if row["judging"] == 3} > {2.0}
    with pytest.raises(UsageError, match="has no judging 4: its judgings are 1 to 3"):
        await collect(after.id, bench.database, judging=4)


async def test_the_first_judging_cancelled_leaves_generated_replies(bench: Bench, tmp_path: Path) -> None:
    """The run is closed as though it had no judges, and says how far they came; the gate on judges is inconclusive."""
    await generated(bench.database, judged=True)
    await bench.dispatcher.advance()
    await verdicts(bench.database, 2, most=2)
    run = await control.cancel(await now(), bench.database)
    assert (run.status, run.judging.shown, run.judging.planned) == (RunStatus.JUDGING, None, True)
    assert (await closed_by("another", bench)).status is RunStatus.JUDGING
    done = await closed_by("home", bench)
    assert (done.status, set(await judge_jobs(bench.database))) == (RunStatus.DONE, {"DONE", "CANCELLED"})
    report = await collect(done.id, bench.database)
    assert "judge" not in report.metrics
    assert "Judging 1, by judge, was cancelled after 2 of" in told(report)
    assert "was cancelled after 2 of" in (tmp_path / "r.html").read_text()
    assert done.outcome.verdict is not None
    assert [result.outcome for result in done.outcome.verdict.results] == ["inconclusive"]
    assert points(await collect(done.id, bench.database, judging=1)) == {2.0}


async def closed_by(home: str, bench: Bench) -> Run:
    """What a command in that home makes of the run that it has cancelled; "home" enqueued it."""
    await bench.database.runs.update_one({}, {"$set": {"closers": {"home": "home", "where": "here", "scorers": ["1"]}}})
    closer = Closer(here=Closers(home=home, where="here", scorers=("2",)), dispatcher=False)
    return await finish.close_now(await now(), "o", bench.settings.reports_dir, bench.database, closer=closer)


async def test_a_judge_that_gives_no_verdict_replaces_nothing(bench: Bench, tmp_path: Path) -> None:
    """Its judging has failed, for a reason; asked for again, it is asked for all."""
    await generated(bench.database, judged=True)
    before = await ended(bench)
    was = (tmp_path / "r.html").read_bytes()
    await again(bench.database)
    await bench.dispatcher.advance()
    await control.give_up_model(await now(), "judge", "its model could not be served", bench.database)
    lost = (await judge_jobs(bench.database))[JobStatus.DEAD]
    await bench.dispatcher.close()
    failed = await now()
    assert (failed.status, failed.outcome, failed.judging.shown) == (RunStatus.DONE, before.outcome, 1)
    assert failed.judging.passes[1].status is JudgingStatus.FAILED
    assert failed.judging.passes[1].reason == "no verdict came from judge: its model could not be served"
    assert (tmp_path / "r.html").read_bytes() == was
    assert "Judging 2, by judge, failed: no verdict came" in told(await collect(before.id, bench.database))

    await again(bench.database)
    await bench.dispatcher.advance()
    assert await verdicts(bench.database, 2) == lost
    await bench.dispatcher.close()
    assert ((await now()).judging.shown, (await now()).judging.passes[2].status) == (3, JudgingStatus.COMPLETE)


MOMENTS = [
    # (module, what is called at that moment, whether the judging is being cancelled; else it is being closed)
    (judging_moves, "drop_open", True),
    (judging_moves, "_given_up", True),
    (finish, "complete_judging", False),
    (finish, "close_run", False),
    (close, "store_night", False),
]


@pytest.mark.parametrize(("module", "name", "cancelling"), MOMENTS)
async def test_killed_at_any_moment_it_ends_well(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, cancelling: bool
) -> None:
    """Killed there while it is cancelled or closed, a judging is cancelled or shown all the same, and never half."""
    await generated(bench.database, judged=True)
    before = await ended(bench)
    was = (tmp_path / "r.html").read_bytes()
    await again(bench.database)
    await bench.dispatcher.advance()
    await verdicts(bench.database, 2, most=1 if cancelling else 1_000)

    async def killed(*_: Any, **__: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(module, name, killed)
        with pytest.raises(asyncio.CancelledError):
            await (control.cancel(await now(), bench.database) if cancelling else closed(bench))
    assert (await now()).status is RunStatus.JUDGING
    if not cancelling:
        await bench.database.leases.delete_many({})  # which lapse
    await bench.dispatcher.advance()
    await bench.dispatcher.close()
    after = await now()
    assert (await judge_jobs(bench.database)).keys() <= {JobStatus.DONE, JobStatus.CANCELLED}
    assert after.status is RunStatus.DONE
    if cancelling:
        assert (after.judging.shown, after.outcome, (tmp_path / "r.html").read_bytes()) == (1, before.outcome, was)
        assert after.judging.passes[1].status is JudgingStatus.CANCELLED
    else:
        assert after.judging.shown == 2
        assert after.judging.passes[1].files == after.outcome.files == [str(tmp_path / "r.html")]
        assert points(await collect(after.id, bench.database)) == {2.0}


async def closed(bench: Bench) -> None:
    """Without the net that a dispatcher works over."""
    run = await now()
    await finish._close_mine(run, bench.settings.reports_dir, bench.database)


async def test_what_is_planned_after_a_cancel_is_dropped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher that was slow writes jobs of a judging that was cancelled meanwhile: none of them stays open."""
    await generated(bench.database, judged=True)
    await ended(bench)
    old = await again(bench.database)
    cancelled = False

    async def slow(collection: Any, rows: Any) -> int:
        nonlocal cancelled
        if not cancelled and rows and "kind" in rows[0]:
            cancelled = True
            await control.cancel(await now(), bench.database)
        return await insert_absent(collection, rows)

    monkeypatch.setattr(write_jobs, "insert_absent", slow)
    await write_jobs.write_judging(old, bench.database)
    await write_jobs.mark_planned(old, bench.database)
    assert cancelled
    assert (await judge_jobs(bench.database)).keys() == {JobStatus.DONE, JobStatus.CANCELLED}
    assert (await now()).status is RunStatus.DONE


Step = Callable[[Run, Database], Any]
BEFORE_CANCEL: dict[str, list[Step]] = {
    "paused": [control.pause],
    "paused, and it goes on": [control.pause, lambda run, db: control.resume(run, db)],
    "a dead reply is retried": [lambda run, db: control.retry(run, db)],
}


@pytest.mark.parametrize("steps", BEFORE_CANCEL.values(), ids=BEFORE_CANCEL.keys())
async def test_a_finished_run_is_never_cancelled_with_its_judging(bench: Bench, steps: list[Step]) -> None:
    """Whatever was done to it meanwhile: it is DONE again, by the judging before."""
    await generated(bench.database, judged=True)
    await ended(bench)
    await again(bench.database)
    await bench.dispatcher.advance()
    for step in steps:
        await step(await now(), bench.database)
    await control.cancel(await now(), bench.database)
    await bench.database.jobs.update_many(
        {"kind": JobKind.REPLY, "status": JobStatus.PENDING}, {"$set": {"status": JobStatus.DEAD}}
    )
    for _ in range(2):
        await bench.dispatcher.advance()
        await bench.dispatcher.close()
    after = await now()
    assert (after.status, after.judging.shown) == (RunStatus.DONE, 1)
    assert after.outcome.finished_at is not None
    assert points(await collect(after.id, bench.database)) == {3.0}


async def test_a_deadline_that_has_passed_does_not_end_a_later_judging(bench: Bench) -> None:
    """It was the run's; somebody judges it by day."""
    await generated(bench.database, judged=True)
    run = await ended(bench)
    past = utc_now() - timedelta(hours=1)
    await bench.database.runs.update_one({"_id": run.id}, {"$set": {"ending.deadline_at": past}})
    await again(bench.database)
    await bench.dispatcher.advance()
    await bench.dispatcher.stop_late()
    assert (await now()).status is RunStatus.JUDGING


async def test_a_run_that_was_not_judged_is_as_it_was(bench: Bench) -> None:
    """While its first judging is under way and when that is cancelled; complete, its verdicts count."""
    await generated(bench.database, judged=False)
    before = await ended(bench)
    await again(bench.database)
    await bench.dispatcher.advance()
    await verdicts(bench.database, 2, most=1)
    assert "judge" not in (await collect(before.id, bench.database)).metrics
    cancelled = await control.cancel(await now(), bench.database)
    assert (cancelled.status, cancelled.outcome, cancelled.judging.shown) == (RunStatus.DONE, before.outcome, None)
    await again(bench.database, None)
    assert (await now()).judging.passes[1].rubric == (await now()).judging.passes[0].rubric, "the last one's"
    await bench.dispatcher.advance()
    await verdicts(bench.database, 2)
    await bench.dispatcher.close()
    assert points(await collect(before.id, bench.database)) == {2.0}
