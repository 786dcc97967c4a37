"""What a person can ask for on an existing run: judge it again, compare it, check its judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from nightjar.config.errors import ModelError, UsageError
from nightjar.jobs.documents import Run, SuiteVersion
from nightjar.jobs.judgings import JudgeCheck, Judging
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import known_facts
from nightjar.jobs.runs.judging_moves import begin_judging
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.read_judged import panel_of
from nightjar.pipeline.judging.rubric import Method, Rubric, judging_rubric, read_rubric, stored_rubric

CHECKED_SEQUENCES = 20
CHECKABLE = (RunStatus.DONE, RunStatus.JUDGING, RunStatus.ACTIVE)


async def judge_again(
    run: Run,
    judges: Sequence[str],
    rubric: Mapping[str, Any] | None,
    database: Database,
    *,
    known_models: Sequence[str] = (),
    self_judging: bool = False,
    against: Run | None = None,
) -> Run:
    """Begins another judging of a DONE run, which is JUDGING then (rubric None: the last one's, else the suite's).

    The judging before counts until this one is complete. `against`: the run that a pairwise rubric compares with.
    Raises UsageError, UnknownNameError, ModelError.
    """
    asked = await check_again(
        run, judges, rubric, database, known_models=known_models, self_judging=self_judging, against=against
    )
    return await begin_judging(run, asked, database)


async def check_again(
    run: Run,
    judges: Sequence[str],
    rubric: Mapping[str, Any] | None,
    database: Database,
    *,
    known_models: Sequence[str] = (),
    self_judging: bool = False,
    against: Run | None = None,
) -> Judging:
    """What `judge_again` would begin. Raises what it raises."""
    if run.status is not RunStatus.DONE:
        raise UsageError(f"Run {run.name!r} is {run.status}; only a run that is DONE can be judged.")
    run.check_transcripts()
    await check_judges(judges, known_models, database)
    stored = await _rubric_of(run, rubric, database)
    judges = list(dict.fromkeys(judges))
    panel = await panel_of(run, judges, database, self_judging=self_judging, against=against)
    _check_work(run, read_rubric(stored), panel, against)
    return Judging(
        number=len(run.judging.passes) + 1,
        judges=judges,
        rubric=stored,
        self_judging=self_judging,
        against=against.id if against else None,
    )


async def begin_check(run: Run, check: JudgeCheck, database: Database, *, budget: float | None = None) -> Run:
    """Has spoilt replies judged beside real ones. The run's scores stay.

    A DONE run is JUDGING until the check has finished; on an active run it is planned after the other work. `budget`:
    the run's, from now on; None: it stays as it is. Raises UsageError.
    """
    change = {"judging.check": check.model_dump(mode="python"), "judging.planned": False}
    more = {} if budget is None else {"budget": budget, "budget_reached": None}
    return await _to_judging(run, change | more, database)


async def plan_check(
    run: Run,
    judges: Sequence[str],
    rubric: Mapping[str, Any] | None,
    database: Database,
    *,
    seed: int | None = None,
    sequences: int = CHECKED_SEQUENCES,
    known_models: Sequence[str] = (),
    self_judging: bool = False,
) -> JudgeCheck:
    """The check to begin (no judges: the run's own). Raises UsageError, UnknownNameError, ModelError."""
    run.check_transcripts()
    judges = list(dict.fromkeys(judges or run.judging.judges))
    if run.status not in CHECKABLE:
        raise UsageError(
            f"Run {run.name!r} is {run.status}; judges can be checked on a run that is in progress or DONE."
        )
    if not judges:
        raise UsageError(f"Run {run.name!r} has no judges. Name the one to check: --judge MODEL.")
    await check_judges(judges, known_models, database)
    stored = await _rubric_of(run, rubric, database)
    panel = await panel_of(run, judges, database, self_judging=self_judging)
    _check_seats(run, panel, [(model.name,) for model in run.models])
    return JudgeCheck(
        judges=judges,
        rubric=stored,
        seed=run.seed if seed is None else seed,
        sequences=sequences,
        self_judging=self_judging,
    )


async def _rubric_of(run: Run, given: Mapping[str, Any] | None, database: Database) -> dict[str, Any]:
    suite = await SuiteVersion.get(run.suite)
    own = stored_rubric(next((one.rubric for one in reversed(run.judging.passes) if one.rubric is not None), None))
    return judging_rubric(given or own or (suite.rubric if suite else None), f"run {run.name!r}")


async def check_judging(run: Run, database: Database) -> None:
    """Raises UsageError where the judges of a run that is about to be written would have nothing to judge."""
    judging = run.judging.current
    if judging is not None and judging.rubric is not None:
        panel = await panel_of(run, judging.judges, database, self_judging=judging.self_judging)
        _check_work(run, read_rubric(judging.rubric), panel, None)


def _check_work(run: Run, rubric: Rubric, panel: Panel, against: Run | None) -> None:
    """Raises UsageError if a judge would have nothing to judge."""
    names = [contestant.model for contestant in run.contestants]
    if rubric.method is Method.POINTS:
        if against is not None:
            raise UsageError("--against compares replies; that needs a rubric with `method: pairwise`.")
        _check_seats(run, panel, [(name,) for name in names])
    elif against is not None:
        _check_seats(run, panel, _opponents(run, against))
    elif len(names) < 2:
        raise UsageError(
            f"The rubric compares replies and run {run.name!r} has only one model. Add a second --model, try variants "
            "(`variants:` in the suite, or --system), or compare "
            "with another run's replies: nightjar judge RUN --against RUN."
        )
    else:
        _check_seats(run, panel, list(combinations(names, 2)))


def _opponents(run: Run, against: Run) -> list[tuple[str, ...]]:
    """Which model of the run is compared with which of the other; the same rule as `read_judged.opponents`."""
    if against.id == run.id:
        raise UsageError(
            f"--against names run {run.name!r} itself; leave it out to compare the run's models with each other."
        )
    theirs = against.contestants
    pairs: list[tuple[str, ...]] = [
        (one.model, one.model if one in theirs else theirs[0].model)
        for one in run.contestants
        if one in theirs or len(theirs) == 1
    ]
    if not pairs:
        raise UsageError(
            f"Runs {run.name!r} and {against.name!r} have no model of the same name, and the second has several: it "
            "is not clear which to compare."
        )
    return pairs


def _check_seats(run: Run, panel: Panel, groups: Sequence[tuple[str, ...]]) -> None:
    """Each judge must have something to judge that is not its own."""
    seats = {judge for group in groups for judge in panel.seats(*group)}
    for judge in panel.judges:
        if judge not in seats:
            raise UsageError(
                f"All that {judge!r} would judge in run {run.name!r} is its own: the same name or the same file. "
                "Choose another judge, or give --self-judging."
            )


async def _to_judging(run: Run, change: Mapping[str, Any], database: Database) -> Run:
    """One compare-and-set on the run as it was read: it has to be closed again, if it was DONE, and keeps its end.

    Raises UsageError where somebody else was quicker.

    `change`: fields of the run.
    """
    more = dict(change)
    if run.status is RunStatus.DONE:
        more |= {"status": RunStatus.JUDGING, "status_reason": None}
    moved = await database.runs.update_one({"_id": run.id, "status": run.status}, {"$set": more})
    if not moved.matched_count:
        raise UsageError(f"Run {run.name!r} is being changed by somebody else; look at `nightjar run show {run.name}`.")
    current = await Run.get(run.id)
    if current is None:
        raise UsageError(f"Run {run.name!r} was removed.")
    return current


async def check_judges(judges: Iterable[str], known: Iterable[str], database: Database) -> None:
    """Raises UnknownNameError, and ModelError for a judge that cannot judge."""
    for facts in (await known_facts(judges, known, database)).values():
        if facts.kind is not ModelKind.CHAT:
            raise ModelError(f"{facts.name!r} has no chat template and cannot judge. Choose a chat model for --judge.")
