"""Runs that stop when they are decided, on a real MongoDB: wave by wave, whoever dies, whatever else happens."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from beanie.odm.utils.encoder import Encoder

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import RunConflictError
from nightjar.jobs.backlog import model_has_work
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import job_id
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.jobs.status.run import describe_run
from nightjar.jobs.waves import PairState
from nightjar.pipeline.closing.finish import close_finished
from nightjar.pipeline.closing.look import goes_on
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.dispatch.advance import advance_runs
from nightjar.pipeline.dispatch.interrupted import finish_expansions
from nightjar.pipeline.report.formats.json_ import head_of
from nightjar.pipeline.runs.producer import Enqueued, enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from tests.documents import a_turn
from tests.dying_look import POINTS

PROJECT = Path(__file__).parents[3]
SEQUENCES = 80
MODELS = ("good", "bad")
Says = Callable[[Run, Job], str]
"""What a job's model replies."""


def clear(run: Run, job: Job) -> str:
    """One model always says fox, the other never."""
    return "a fox" if job.model == "good" else "a bear"


def equal(run: Run, job: Job) -> str:
    """Both fail on the same sequences."""
    return "a fox" if int(job.sequence[1:]) % 3 else "a bear"


def close_call(run: Run, job: Job) -> str:
    """In every wave one is better on six sequences of twenty, and worse on two."""
    assert run.waves is not None
    of = dict(zip(run.sequences, run.waves.plan.numbers, strict=True))
    at = [name for name in run.sequences if of[name] == of[job.sequence]].index(job.sequence)
    winner = "good" if at < 6 else "bad" if at < 8 else job.model
    return "a fox" if job.model == winner else "a bear"


async def begin(database: Database, **options: Any) -> Enqueued:
    turn = {"prompt": "Tell of a fox.", "expect": [{"check": "includes", "value": "fox"}]}
    listed = tuple(Sequence.model_validate({"id": f"s{n}", "turns": [turn]}) for n in range(SEQUENCES))
    await import_suite(SuiteContent(name="tales", sequences=listed, primary_metric="checks"), database)
    given = {"suite": "tales", "models": MODELS, "known_models": (*MODELS, "judge"), "name": "r", "until": "decided"}
    return await enqueue(make_request(**(given | options)), database)


async def now(run: Run) -> Run:
    current = await Run.get(run.id)
    assert current is not None
    return current


async def reply(run: Run, says: Says, database: Database, **query: Any) -> int:
    """Ends the open reply jobs as a worker would; returns how many."""
    jobs = await Job.find({"run": run.id, "kind": JobKind.REPLY, "status": JobStatus.PENDING, **query}).to_list()
    for job in jobs:
        turn = Encoder(to_db=True).encode(a_turn(0, prompt="Tell of a fox.", reply=says(run, job)))
        done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1}
        await database.jobs.update_one({"_id": job.id}, {"$set": done, "$currentDate": {"finished_at": True}})
    return len(jobs)


async def advance(database: Database, folder: Path) -> None:
    """What a dispatcher does in a few rounds."""
    for _ in range(3):
        await advance_runs(database)
    await close_finished("d", folder, database)


async def work(run: Run, says: Says, database: Database, folder: Path) -> Run:
    """From wherever the run is to its end."""
    while await reply(run, says, database):
        await advance(database, folder)
    return await now(run)


async def sequences_asked(run: Run) -> set[str]:
    return {job.sequence for job in await Job.find({"run": run.id}).to_list()}


async def test_two_that_clearly_differ_stop_early(database: Database, tmp_path: Path) -> None:
    """After a quarter; what was left out is said everywhere, and never was a job."""
    done = await begin(database)
    assert (done.jobs_total, done.jobs_added) == (40, 40)
    run = await work(done.run, clear, database, tmp_path)
    assert run.status is RunStatus.DONE
    assert run.waves is not None
    assert (len(run.waves.looks), run.waves.over, run.waves.left_out) == (1, True, 60)
    (pair,) = run.waves.looks[0].pairs
    assert (pair.first, pair.second, pair.state, pair.pairs) == ("good", "bad", PairState.BETTER, 20)
    assert pair.bound == pytest.approx(4.333, abs=0.001)
    assert pair.z is not None
    assert pair.bound is not None
    assert pair.z > pair.bound

    asked = await sequences_asked(run)
    assert len(asked) == 20
    assert {job.id for job in await Job.find({"run": run.id}).to_list()} == {
        job_id(run.id, JobKind.REPLY, sequence, model, 0) for sequence in asked for model in MODELS
    }
    assert run.outcome.answer is not None
    answer = run.outcome.answer.replace("\u202f", " ")
    assert answer.startswith("By checks, good (100 %) beats bad (0 %). Stopped when decided, at look 1 of at most 4")
    assert "20 of 80 sequences were asked, the other 60 were left out." in answer
    page = next(Path(file) for file in run.outcome.files if file.endswith(".html")).read_text("utf-8")
    assert "the other 60 were left out" in page
    assert "<h3>Looks</h3>" in page
    document = json.loads(next(Path(file) for file in run.outcome.files if file.endswith(".json")).read_text("utf-8"))
    assert (document["waves"]["asked"], document["waves"]["left_out"]) == (20, 60)
    assert document["waves"]["looks"][0]["pairs"][0]["state"] == "better"
    interval = document["ranking"]["pairs"][0]["paired"]["interval"]
    assert (interval["method"], interval["low"] > 0) == ("repeated", True)
    assert len(document["jobs"]) == 40
    detail = await describe_run(run, database)
    assert detail.waves is not None
    assert (
        detail.waves.sentence() == "decided by checks after 20 of 80 sequences (look 1 of at most 4); 60 are left out"
    )


async def test_two_that_are_equal_stop_for_futility(database: Database, tmp_path: Path) -> None:
    run = await work((await begin(database)).run, equal, database, tmp_path)
    assert run.status is RunStatus.DONE
    assert run.waves is not None
    (pair,) = run.waves.looks[-1].pairs
    assert (run.waves.asked, pair.state) == (40, PairState.FUTILE)
    assert run.outcome.answer is not None
    assert "can't be separated over 40 sequences" in run.outcome.answer
    assert "all sequences would show it with a chance of under 1" in run.outcome.answer
    assert "repeated 95\u202f% interval" in run.outcome.answer


async def test_a_close_call_is_decided_at_the_end(database: Database, tmp_path: Path) -> None:
    """Every wave is asked; the verdict is the looks', at a bound that is stricter than one test's."""
    run = await work((await begin(database)).run, close_call, database, tmp_path)
    assert run.status is RunStatus.DONE
    assert run.waves is not None
    states = [look.pairs[0].state for look in run.waves.looks]
    assert states == [PairState.UNDECIDED] * 3 + [PairState.BETTER]
    assert [look.sequences for look in run.waves.looks] == [20, 40, 60, 80]
    assert (run.jobs_total, run.expanded, run.waves.left_out) == (160, 160, 0)
    assert await sequences_asked(run) == set(run.sequences)
    report = await collect(run.id, database)
    assert report.ranking is not None
    assert [place.model for place in report.ranking.leaders] == ["good"]
    orders = [job.order for job in report.jobs if job.model == "good"]
    assert [job.sequence for job in report.jobs if job.model == "good"] == run.sequences
    assert orders == sorted(orders)


async def test_before_the_first_look_nothing_is_claimed(database: Database) -> None:
    """A report on the way has no verdict, however clear it looks: that would be looking whenever one likes."""
    run = (await begin(database)).run
    await reply(run, clear, database)
    report = await collect(run.id, database)
    assert report.ranking is not None
    assert [pair.verdict.value for pair in report.ranking.pairs] == ["can't tell"]
    assert "Not decided yet: 20 of 80 sequences are asked so far" in head_of(report)["answer"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_dispatcher_may_die_at_a_look(
    point: str, database: Database, services: ServiceUrls, tmp_path: Path
) -> None:
    """One look, and each job of the next wave once; the run goes on with whoever comes next."""
    says = clear if point == "before the run is closed" else close_call
    run = (await begin(database)).run
    await reply(run, says, database)
    for _ in range(3):
        await advance_runs(database)
    arguments = (services.mongo.get_secret_value(), database.raw.name, str(tmp_path), point)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.dying_look", *arguments, cwd=PROJECT)
    assert await process.wait() == -signal.SIGKILL
    await database.leases.delete_many({})
    long_ago = {"$subtract": ["$$NOW", 60_000]}
    await database.runs.update_one({"_id": run.id}, [{"$set": {"expanded_at": long_ago}}])
    await finish_expansions("d", database)
    await advance(database, tmp_path)
    after = await now(run)
    assert after.waves is not None
    assert len(after.waves.looks) == 1
    assert await Job.find({"run": run.id}).count() == after.jobs_total == after.expanded
    ended = await work(run, says, database, tmp_path)
    assert ended.status is RunStatus.DONE
    assert ended.waves is not None
    assert len(ended.waves.looks) == (1 if says is clear else 4)


async def test_two_dispatchers_make_one_look(database: Database) -> None:
    run = (await begin(database)).run
    await reply(run, close_call, database)
    for _ in range(3):
        await advance_runs(database)
    seen = await now(run)
    assert await asyncio.gather(*(goes_on(seen, database) for _ in range(3))) == [True] * 3
    after = await now(run)
    assert after.status is RunStatus.ACTIVE
    assert after.waves is not None
    assert (len(after.waves.looks), after.waves.opened) == (1, 2)
    assert await Job.find({"run": run.id}).count() == 80


async def test_a_judges_metric_decides_only_when_the_wave_is_judged(database: Database, tmp_path: Path) -> None:
    scale = {"1": "bad", "2": "fair", "3": "good"}
    rubric = {"name": "r", "criteria": [{"name": "plot", "description": "d", "scale": scale}]}
    begun = await begin(database, judges=("judge",), rubric=rubric, primary="judge.plot")
    run = begun.run
    await reply(run, clear, database)
    await advance(database, tmp_path)
    waiting = await now(run)
    assert waiting.waves is not None
    assert (waiting.status, waiting.waves.looks) == (RunStatus.JUDGING, [])
    for judging in await Job.find({"run": run.id, "kind": JobKind.JUDGE}).to_list():
        judged = await Job.get((judging.payload or {})["job"])
        assert judged is not None
        said = json.dumps({"reason": "So.", "score": 3 if judged.model == "good" else 1})
        turn = Encoder(to_db=True).encode(a_turn(0, name="plot", reply=said))
        done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1}
        await database.jobs.update_one({"_id": judging.id}, {"$set": done})
    await advance(database, tmp_path)
    ended = await now(run)
    assert ended.status is RunStatus.DONE
    assert ended.waves is not None
    assert [pair.state for pair in ended.waves.looks[0].pairs] == [PairState.BETTER]
    assert ended.judging.passes[0].status == "COMPLETE"


async def test_what_is_dead_is_retried_before_and_after_a_look(database: Database, tmp_path: Path) -> None:
    """A wave with dead jobs is looked at without them; given back later they are done beside the next wave's."""
    run = (await begin(database)).run
    some = [job.id for job in await Job.find({"run": run.id, "model": "bad"}).limit(3).to_list()]
    dead = {"status": JobStatus.DEAD, "reason": "crash"}
    await database.jobs.update_many({"_id": {"$in": some}}, {"$set": dead})
    await reply(run, close_call, database)
    await advance(database, tmp_path)
    looked = await now(run)
    assert looked.waves is not None
    (pair,) = looked.waves.looks[0].pairs
    assert (looked.waves.opened, pair.pairs, pair.bound) == (
        2,
        17,
        None,
    )  # too few: nothing spent
    assert await control.retry(looked, database) == 3
    ended = await work(run, close_call, database, tmp_path)
    assert ended.status is RunStatus.DONE
    assert ended.waves is not None
    assert [look.pairs[0].pairs for look in ended.waves.looks] == [17, 40, 60, 80]


async def test_pausing_cancelling_and_growing(database: Database, tmp_path: Path) -> None:
    """Paused while it is looked at it goes on from there; cancelled it is over as a whole; it never grows."""
    run = (await begin(database)).run
    await reply(run, close_call, database)
    for _ in range(3):
        await advance_runs(database)
    assert await model_has_work("bad", database)  # a look is about to be taken
    await control.pause(await now(run), database)
    await advance(database, tmp_path)
    assert (await now(run)).status is RunStatus.PAUSED
    await control.resume(await now(run), database)
    await advance(database, tmp_path)
    again = await now(run)
    assert again.waves is not None
    assert (again.status, again.waves.opened) == (RunStatus.ACTIVE, 2)
    assert (await begin(database)).jobs_added == 0
    for options, says in (
        ({"repeats": 2}, "its models and repeats are fixed"),
        ({"margin": 0.1}, "it asks --until decided --primary checks --margin 0.1, was --until decided"),
        ({"until": None}, "it asks all sequences, was --until decided"),
    ):
        with pytest.raises(RunConflictError, match=says):
            await begin(database, **options)
    await reply(run, close_call, database)
    for _ in range(3):
        await advance_runs(database)
    cancelled = await control.cancel(await now(run), database)
    assert cancelled.status is RunStatus.CANCELLED
    await advance(database, tmp_path)
    assert (await now(run)).status is RunStatus.CANCELLED
    assert await Job.find({"run": run.id}).count() == 80
