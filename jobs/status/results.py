"""How runs ended, for lists: their lead metric with its difference to the baseline's, gates, duration.

All of it is stored; nothing is collected. The difference is that of two stored means, so it is given only where both
are of the same sequences and found by the same yardstick; whether it is more than chance, a comparison says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nightjar.jobs.documents import Run
from nightjar.jobs.ending import EndScore, GateVerdict
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.reading import read_each
from nightjar.jobs.states import EVALUATIONS, RunStatus

_JUDGED = "judge"
"""The metric of judges, and what the metrics of their criteria begin with."""


@dataclass(frozen=True, kw_only=True)
class HeldScore:
    """A model's mean on the metric that its run's report leads with, held against the baseline's."""

    model: str
    metric: str
    mean: float | None
    delta: float | None = None
    """By how much it is above the baseline's; None where it cannot be said."""
    why_not: str = ""
    """Why it has no difference, where there is a baseline."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What is stored of a run's end."""

    scores: tuple[HeldScore, ...] = ()
    """Empty where it has not ended, or nothing was measured."""
    baseline: str | None = None
    """Name of the run that it is held against; None: none is set."""
    is_baseline: bool = False
    verdict: GateVerdict | None = None
    duration_s: float | None = None
    """From being made to its end, pauses included; None where it has not ended, or ended later since it was judged
    again."""


async def read_results(runs: Sequence[Run], database: Database) -> dict[str, RunResult]:
    """Of each of these runs, by id: two questions to MongoDB, however many runs there are."""
    bases = await _baselines(runs, database)
    return {run.id: _result(run, bases.get(run.id)) for run in runs}


async def read_results_of(ids: Collection[str], database: Database) -> dict[str, RunResult]:
    """The same, by the ids of runs; those that are gone or cannot be read are left out."""
    return await read_results(await read_each(Run, {"_id": {"$in": list(ids)}}, database), database)


async def _baselines(runs: Sequence[Run], database: Database) -> dict[str, Run]:
    """The run that each is held against: the one that it names, else its suite's."""
    suites = sorted({run.suite_name for run in runs})
    of_suite = {base.id: base.run for base in await read_each(Baseline, {"_id": {"$in": suites}}, database)}
    asked = {run.id: run.ending.baseline or of_suite.get(run.suite_name) for run in runs}
    known = {key: run for run in runs for key in (run.id, run.name)}
    missing = sorted({name for name in asked.values() if name is not None and name not in known})
    if missing:
        query: Row = {"$or": [{"_id": {"$in": missing}}, {"name": {"$in": missing}}], **EVALUATIONS}
        known |= {key: run for run in await read_each(Run, query, database) for key in (run.id, run.name)}
    return {
        run: known[name]
        for run, name in asked.items()
        if name is not None and name in known and known[name].status is not RunStatus.REMOVING
    }


def _result(run: Run, base: Run | None) -> RunResult:
    ended = run.outcome.finished_at
    is_baseline = base is not None and base.id == run.id
    held = {} if base is None or is_baseline else {score.model: score for score in base.outcome.scores}
    scores = run.outcome.scores if ended is not None else []  # of a run that goes on they are those of before
    shown = run.judging.current
    judged_later = shown is not None and shown.begun_at is not None
    return RunResult(
        scores=tuple(_held(score, run, base if held else None, held) for score in scores),
        baseline=None if base is None else base.name,
        is_baseline=is_baseline,
        verdict=run.outcome.verdict,
        duration_s=None if ended is None or judged_later else (ended - run.created_at).total_seconds(),
    )


def _held(score: EndScore, run: Run, base: Run | None, held: Mapping[str, EndScore]) -> HeldScore:
    alone = HeldScore(model=score.model, metric=score.metric, mean=score.mean)
    if base is None:
        return alone
    other = held.get(score.model) or (next(iter(held.values())) if len(held) == 1 else None)
    if other is None:
        return replace(alone, why_not="it has no such model")
    if score.mean is None or other.mean is None:
        return replace(alone, why_not="one of them has no value")
    if why_not := _incomparable(score, other, run, base):
        return replace(alone, why_not=why_not)
    return replace(alone, delta=score.mean - other.mean)


def _incomparable(score: EndScore, other: EndScore, run: Run, base: Run) -> str:
    """Why the difference of two means would say nothing; "" where it says something."""
    if other.metric != score.metric:
        return f"it leads with {other.metric}"
    if run.suite != base.suite:
        return "another version of the suite"
    if run.asked != base.asked or score.n != other.n or score.missing or other.missing:
        return "not the same sequences"
    if score.metric.partition(".")[0] == _JUDGED and _judged_by(run) != _judged_by(base):
        return "judged otherwise"
    return ""


def _judged_by(run: Run) -> tuple[object, ...]:
    return run.judging.judges, run.judging.rubric, run.judging.self_judging, run.judging.against
