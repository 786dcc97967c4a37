"""How runs ended, for lists: differences to the baseline only where they mean something, and few questions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, EndScore, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.judgings import Judging, RunJudging, first_judging
from nightjar.jobs.money.spending import spending
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.states import RunStatus
from nightjar.jobs.status.costs import read_costs
from nightjar.jobs.status.results import read_results, read_results_of
from nightjar.jobs.status.run import as_listed
from nightjar.jobs.status.run_filter import RunFilter, newest_runs
from tests.documents import a_run
from tests.integration.web.test_costs import spend

BEGUN = utc_now() - timedelta(hours=5)
ENDED = BEGUN + timedelta(hours=1)
AGAIN = RunJudging(passes=[Judging(number=1, judges=["j"], begun_at=ENDED)], shown=1)


def score(mean: float | None, model: str = "m", metric: str = "checks", **changes: Any) -> EndScore:
    fields: dict[str, Any] = {"low": None, "high": None, "n": 2, "missing": 0, **changes}
    return EndScore(model=model, metric=metric, mean=mean, **fields)


async def ended(name: str, *scores: EndScore, **changes: Any) -> Run:
    """A run of suite version "s1" that is DONE, with these scores."""
    outcome = RunOutcome(scores=list(scores), finished_at=ENDED)
    fields: dict[str, Any] = {"suite": "s1", "created_at": BEGUN, "status": RunStatus.DONE, "outcome": outcome}
    return await a_run(name, **fields | changes).insert()


async def baseline(run: Run) -> None:
    await Baseline(id="s", run=run.id, run_name=run.name, set_at=ENDED).insert()


@pytest.mark.parametrize(
    ("scores", "changes", "delta", "why_not"),
    [
        ([score(0.75)], {}, 0.25, ""),
        ([score(0.5, model="other")], {}, 0.0, ""),  # the baseline has but one model
        ([score(None)], {}, None, "one of them has no value"),
        ([score(0.75, metric="words")], {}, None, "it leads with checks"),
        ([score(0.75)], {"suite": "s2"}, None, "another version of the suite"),
        ([score(0.75)], {"sequences": ["a", "b"]}, None, "not the same sequences"),
        ([score(0.75, n=1)], {}, None, "not the same sequences"),  # one has no value
        ([score(0.75, missing=1)], {}, None, "not the same sequences"),
        ([score(0.75)], {"judging": first_judging(["j"])}, 0.25, ""),  # judges say nothing of checks
    ],
)
async def test_a_score_is_held_against_the_baselines(
    scores: list[EndScore], changes: dict[str, Any], delta: float | None, why_not: str, database: Database
) -> None:
    await baseline(await ended("base", score(0.5)))
    run = await ended("night", *scores, **changes)
    result = (await read_results([run], database))[run.id]
    assert [(held.delta, held.why_not) for held in result.scores] == [(delta, why_not)]
    assert (result.baseline, result.is_baseline) == ("base", False)


async def test_judged_by_others_means_another_yardstick(database: Database) -> None:
    await baseline(await ended("base", score(3.0, metric="judge"), judging=first_judging(["j"])))
    same = await ended("same", score(3.5, metric="judge"), judging=first_judging(["j"]))
    other = await ended("other", score(3.5, metric="judge"), judging=first_judging(["k"]))
    results = await read_results([same, other], database)
    assert [results[run.id].scores[0].why_not for run in (same, other)] == ["", "judged otherwise"]


async def test_several_models_are_held_against_those_of_their_names(database: Database) -> None:
    await baseline(await ended("base", score(0.5, "a"), score(0.25, "b")))
    run = await ended("night", score(0.75, "a"), score(1.0, "c"))
    held = (await read_results([run], database))[run.id].scores
    assert [(each.delta, each.why_not) for each in held] == [(0.25, ""), (None, "it has no such model")]


async def test_which_run_is_the_baseline(database: Database) -> None:
    """A run's own goes before its suite's; one that is gone, or going, is none."""
    base = await ended("base", score(0.5))
    await baseline(base)
    own = await ended("own", score(0.75), ending=Ending(baseline="last"))
    lost = await ended("lost", score(0.75), ending=Ending(baseline="never"))
    await ended("last", score(1.0))
    results = await read_results([base, own, lost], database)
    assert (results["base"].is_baseline, results["base"].scores[0].delta) == (True, None)
    assert (results["own"].baseline, results["own"].scores[0].delta) == ("last", -0.25)
    assert (results["lost"].baseline, results["lost"].scores[0].delta) == (None, None)
    await database.runs.update_one({"_id": "base"}, {"$set": {"status": RunStatus.REMOVING}})
    plain = await ended("plain", score(0.75))
    assert (await read_results([plain], database))["plain"].baseline is None


async def test_what_is_not_known_is_none(database: Database) -> None:
    """A run that goes on has the scores of its last end no more; one that was judged again, no duration of its own."""
    done = await ended("done", score(0.5))
    outcome = RunOutcome(scores=[score(0.5)])
    going = await ended("going", status=RunStatus.ACTIVE, outcome=outcome)
    judged = await ended("judged", score(0.5), judging=AGAIN)
    results = await read_results_of(["done", "going", "judged", "gone"], database)
    assert set(results) == {"done", "going", "judged"}
    assert [results[run.id].duration_s for run in (done, going, judged)] == [3600, None, None]
    assert results["going"].scores == ()
    assert await read_costs(["done"], database) == {}


def verdict(*outcomes: GateOutcome) -> RunOutcome:
    gate = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)
    results = tuple(GateResult(gate=gate, about="x", outcome=outcome, reason="r") for outcome in outcomes)
    return RunOutcome(verdict=GateVerdict(results=results, at=ENDED), finished_at=ENDED)


async def test_runs_are_found_by_status_and_by_what_their_gates_said(database: Database) -> None:
    """As `GateVerdict.outcome` has it: the worst of them."""
    passed, tripped, unsure = GateOutcome.PASSED, GateOutcome.TRIPPED, GateOutcome.INCONCLUSIVE
    runs = {
        "good": verdict(passed, passed),
        "bad": verdict(unsure, tripped),
        "unsure": verdict(passed, unsure),
        "ungated": RunOutcome(finished_at=ENDED),
    }
    for name, outcome in runs.items():
        await ended(name, outcome=outcome)
    await ended("paused", status=RunStatus.PAUSED, outcome=RunOutcome())
    for gates in GateOutcome:
        found = await newest_runs(9, RunFilter(gates=gates), database)
        expected = [name for name, outcome in runs.items() if outcome.verdict and outcome.verdict.outcome is gates]
        assert [run.name for run in found] == expected, gates
    assert [run.name for run in await newest_runs(9, RunFilter(status=RunStatus.PAUSED), database)] == ["paused"]
    both = RunFilter(words="o", suite="s@", status=RunStatus.DONE, gates=passed)
    assert [run.name for run in await newest_runs(9, both, database)] == ["good"]


async def test_a_longer_list_asks_no_more_of_mongodb(database: Database) -> None:
    await baseline(await ended("base", score(0.5)))

    async def asked(runs: int) -> int:
        for number in range(runs):
            await ended(f"of-{runs}-{number}", score(0.75))
        before = await questions(database)
        found = await newest_runs(runs, RunFilter(), database)
        await read_results(found, database)
        await read_costs([run.id for run in found], database)
        assert len(await as_listed(found, database)) == runs
        return await questions(database) - before

    assert await asked(2) == await asked(40) <= 8


async def test_costs_in_words_and_their_parts_agree(database: Database) -> None:
    """What is unknown is never nothing."""
    for number, (run, reserved) in enumerate([("priced", 0.5), ("some", 0.5), ("some", None), ("none", None)]):
        usd = None if reserved is None else 0.2
        await spend(f"e{number}", run=run, reserved_usd=reserved, usd=usd)
    costs = await read_costs(["priced", "some", "none", "local"], database)
    assert {run: each.words for run, each in costs.items()} == {
        "priced": "$0.2000",
        "some": "at least $0.2000",
        "none": "unknown",
    }
    in_parts = await spending(costs, database)
    assert {run: each.cost_usd for run, each in costs.items()} == {run: of[0].usd for run, of in in_parts.items()}


async def questions(database: Database) -> int:
    """How often MongoDB was asked for documents so far."""
    status = await database.client.admin.command("serverStatus")
    return sum(status["metrics"]["commands"][name]["total"] for name in ("find", "aggregate", "count"))
