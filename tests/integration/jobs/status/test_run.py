"""What is shown of runs, on a real MongoDB."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightjar.jobs.documents import Run, RunModel
from nightjar.jobs.ending import Ending, Event, Gate, GateKind, GateOutcome, GateResult, GateVerdict, Hook, HookKind
from nightjar.jobs.judgings import JudgeCheck, RunJudging
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.nights.documents import Delivery
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.jobs.status.run import describe_run, list_runs, newest_run_names
from nightjar.scripts.views.output import emit_json
from nightjar.scripts.views.run import print_run, print_runs
from tests.documents import a_run
from tests.dying_jobs import kill_one

LIST_KEYS = "id run status suite models done dead jobs created judging_shown judging_under_way".split()
RUN_KEYS = (
    "id name status status_reason suite suite_name suite_version repeats seed set_parameters set_model_parameters date "
    "priority max_tries max_lapses max_crashes fail_on_error jobs_total expanded expanded_at planned judges "
    "self_judging against embed_model measures helpers check schedule tick series deadline_met answer files "
    "stalled_at nightjar_version content created_at finished_at sequences models jobs dead_reasons ending gates "
    "deliveries transcripts_dropped_at judgings judging_shown judging_under_way variants waves fidelity"
).split()
MODEL_KEYS = "name digest path jobs loads policy answered".split()
COUNT_KEYS = [*map(str, JobStatus), "turns", "empty"]
ENDING_KEYS = "gates strict baseline deadline_at stalled_after_s formats on_finish".split()
GATES_KEYS = "outcome failed baseline results".split()
GATE_KEYS = "gate about outcome reason text".split()
DELIVERY_KEYS = "id event hook state tries outcome output called_at".split()
GATE = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)
HOOK = Hook(kind=HookKind.WEBHOOK, target="https://host/secret")


async def test_a_run_is_described_by_model_with_the_reasons_of_its_dead(
    run: Run, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await kill_one(run, database, "ContextError: \x1b[31m9 of 8 tokens")
    detail = await describe_run(run, database)
    (model,) = detail.models
    assert model.jobs is not None
    assert (model.name, model.digest, model.jobs["PENDING"], model.jobs["DEAD"]) == ("m", None, 1, 1)
    assert [(dead.jobs, dead.reason) for dead in detail.dead_reasons] == [(1, "ContextError: \x1b[31m9 of 8 tokens")]
    print_run(detail)
    printed = capsys.readouterr().out
    assert "top_k=5" in printed
    assert "not loaded yet" in printed
    assert "\x1b[31m" not in printed  # what a model or a file made is no terminal's command
    (listed,) = await list_runs(10, database)
    assert (listed.run, listed.status, listed.done, listed.dead, listed.jobs) == ("nightly", "ACTIVE", 0, 1, 2)
    print_runs([listed])
    assert capsys.readouterr().out.split()[:3] == ["run", "status", "suite"]


@pytest.mark.parametrize(
    ("words", "suite", "found"),
    [
        ("", "", ["plus", "two", "one"]),  # the newest first
        ("ONE", "", ["one"]),  # a name, in either case
        ("large", "", ["two"]),  # a model
        ("paused", "", ["two"]),  # a state
        ("a+", "", ["plus"]),  # no pattern
        (".", "", []),
        ("", "tales@2", ["two"]),
        ("", "ALES", ["two", "one"]),
        ("one", "songs", []),
    ],
)
async def test_runs_are_found_by_words_and_suite(words: str, suite: str, found: list[str], database: Database) -> None:
    day = utc_now()
    models = [RunModel(name="large")]
    runs: dict[str, dict[str, Any]] = {
        "one": {"suite_name": "tales"},
        "two": {"suite_name": "tales", "suite_version": 2, "models": models, "status": RunStatus.PAUSED},
        "plus": {"suite_name": "songs", "models": [RunModel(name="a+")]},
    }
    for number, (name, changes) in enumerate(runs.items()):
        await a_run(name, name=name, created_at=day + timedelta(hours=number), **changes).insert()
    assert [run.run for run in await list_runs(10, database, words=words, suite=suite)] == found
    assert await newest_run_names(2, database) == ["plus", "two"]


async def test_a_model_without_jobs_has_no_counts(run: Run, database: Database) -> None:
    """Not zeros: its jobs are still to be written."""
    grown = run.model_copy(update={"models": [*run.models, RunModel(name="new")]})
    assert [model.jobs is None for model in (await describe_run(grown, database)).models] == [False, True]


async def ended_run(run: Run) -> Run:
    """The run with everything that an ended one may have: a verdict, a call, judges and a check of them."""
    now = utc_now()
    result = GateResult(gate=GATE, about="nightly:m", outcome=GateOutcome.TRIPPED, reason="0.5 is below 0.8")
    delivery = Delivery(
        id="d", run=run.id, run_name=run.name, event=Event.TRIPPED, hook=HOOK, payload={}, due_at=now, created_at=now
    )
    await delivery.insert()
    ended: Run = run.model_copy(
        update={
            "ending": Ending(gates=(GATE,), deadline_at=now, on_finish=(HOOK,)),
            "outcome": RunOutcome(verdict=GateVerdict(results=(result,), baseline="last", at=now)),
            "helpers": [RunModel(name="judge")],
            "judging": RunJudging(check=JudgeCheck(judges=["judge"], rubric={}, seed=1, sequences=2)),
        }
    )
    return ended


async def test_the_keys_of_json_are_stable(run: Run, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts rely on them: none renamed, none moved; and moments of the stored run are written as they always were."""
    await kill_one(run, database)
    data = asdict(await describe_run(await ended_run(run), database))
    assert list(data) == RUN_KEYS
    assert list(data["models"][0]) == MODEL_KEYS
    assert list(data["models"][0]["jobs"]) == COUNT_KEYS
    assert list(data["jobs"]) == [*map(str, JobStatus)]
    assert list(data["dead_reasons"][0]) == ["reason", "jobs", "example"]
    assert list(data["ending"]) == ENDING_KEYS
    assert list(data["gates"]) == GATES_KEYS
    assert list(data["gates"]["results"][0]) == GATE_KEYS
    assert list(data["deliveries"][0]) == DELIVERY_KEYS
    assert data["deliveries"][0]["hook"] == "https://host/..."
    assert data["created_at"] == run.model_dump(mode="json")["created_at"]
    assert datetime.fromisoformat(data["created_at"]) == run.created_at
    emit_json(data)
    printed = capsys.readouterr().out
    assert '"helpers": [\n    {\n      "name": "judge",' in printed
    assert "secret" not in printed
    assert list(asdict((await list_runs(10, database))[0])) == LIST_KEYS
