"""What is shown of one job, on a real MongoDB."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from nightjar.jobs import ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.lookup import find_job
from nightjar.jobs.machines.workers import record_death
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.parameters import Policy
from nightjar.jobs.records import AttemptEnd, Draw, Timings, TurnRecord
from nightjar.jobs.retry import Again
from nightjar.jobs.routing.routed import JobRoute, RouteStep
from nightjar.jobs.status.job import describe_job
from nightjar.scripts.views.job import print_job
from nightjar.scripts.views.output import emit_json
from tests.dying_jobs import kill_one

JOB_KEYS = (
    "id run kind model sequence sequence_digest sequence_document repeat tags order priority status reason due_at "
    "fence owner lease_until suspect tries lapses crashes turns_total turns_committed turns_empty attempts created_at "
    "finished_at turns variant routed"
).split()
ATTEMPT_KEYS = "fence worker host started_at ended_at end error turns_committed waited_s lasted_s".split()
CRASH_KEYS = "worker at reason jobs_in_hand stderr".split()
TURN_KEYS = "index finish_reason prompt_tokens reused_tokens reply_tokens empty committed_at".split()


def a_turn() -> TurnRecord:
    timings = Timings(queue_s=0, prefill_s=0, decode_s=0)
    draw = Draw(seed=1, reply="r", reply_ids=(1, 2), raw_text="r", finish_reason="stop", timings=timings)
    return TurnRecord(
        index=0,
        prompt="p",
        draws=(draw,),
        prompt_tokens=3,
        reused_tokens=0,
        prompt_digest="p",
        policy=Policy.TRIM,
        parameters={},
        sources={},
        chain="c",
        fence=1,
        worker="w",
        committed_at=utc_now(),
    )


async def crash(job: Job, database: Database) -> None:
    """The job's worker dies, and its supervisor reports it."""
    assert await ownership.claim({job.id: job.fence}, "h:1:1", "h", 30, database)
    decision = Again(delay_s=0, counted=("crashes",))
    died = "its worker died of SIGSEGV"
    await ownership.apply_decision({"_id": job.id, "fence": 1}, decision, AttemptEnd.CRASHED, died, database)
    stderr = "".join(f"line {n}\n" for n in range(40)) + "\x1b[2Jggml: out of reach\n"
    await record_death("h:1:1", "died of SIGSEGV", [job.id, "x"], stderr, database)


async def test_a_jobs_attempts_are_a_timeline(run: Run, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its wait, its length, its end and its reason; a crash with what the process last wrote."""
    await crash(await find_job(run, "a", database), database)
    await kill_one(run, database)
    detail = await describe_job(await find_job(run, "a:m:0", database), database)
    assert [(attempt.worker, attempt.end, attempt.fence) for attempt in detail.attempts] == [
        ("h:1:1", "crashed", 1),
        ("w1", "error", 2),
    ]
    for attempt in detail.attempts:
        assert attempt.waited_s is not None
        assert attempt.lasted_s is not None
        assert 0 <= attempt.waited_s < 60
        assert 0 <= attempt.lasted_s < 60
    assert (detail.status, detail.turns, detail.crashes[0].jobs_in_hand) == ("DEAD", (), 2)
    print_job(detail)
    printed = " ".join(capsys.readouterr().out.split())
    assert "DEAD (ContextError: 9 of 8 tokens), 0 of 1 turn" in printed
    assert "tries 1, lapses 0, crashes 1, fence 2" in printed
    assert "h:1:1 died of SIGSEGV with 1 other jobs in hand; it last wrote: line 29" in printed
    assert "ggml: out of reach" in printed
    assert "\x1b" not in printed


async def test_the_keys_of_json_are_stable(run: Run, database: Database) -> None:
    """Scripts rely on them: none renamed, none moved."""
    job = await find_job(run, "a", database)
    await crash(job, database)
    crashed = await find_job(run, "a", database)
    data = asdict(await describe_job(crashed.model_copy(update={"turns": [a_turn()]}), database))
    assert list(data) == JOB_KEYS
    assert list(data["attempts"][0]) == ATTEMPT_KEYS
    assert list(data["crashes"][0]) == CRASH_KEYS
    assert list(data["turns"][0]) == TURN_KEYS
    assert data["created_at"] == job.model_dump(mode="json")["created_at"]


async def test_who_answers_for_a_policy_is_typed_and_said(
    run: Run, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys are those that are stored."""
    step = RouteStep(model="m", reason="tag poem", at=utc_now())
    route = JobRoute(asked_as="router:best", policy="router:best@1", order=["m"], left=[], steps=[step])
    job = await find_job(run, "a", database)
    detail = await describe_job(job.model_copy(update={"routed": route}), database)
    assert detail.routed == route
    print_job(detail)
    assert f"x router:best, repeat 0\nAnswered by {route.words}" in capsys.readouterr().out
    emit_json({"job": asdict(detail)})
    assert json.loads(capsys.readouterr().out)["job"]["routed"] == route.model_dump(mode="json")
