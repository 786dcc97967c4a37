"""How `nightjar run` shows runs: the list, and one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.scripts.views.ending import print_ending
from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightjar.jobs.documents import Run
    from nightjar.jobs.status.run import JudgingView, ListedRun, RunDetail, RunModelView
    from nightjar.jobs.status.views import RunView


def print_runs(runs: Sequence[ListedRun]) -> None:
    """The list of runs."""
    columns = ("run", "status", "suite", "models", "done>", "dead>", "jobs>", "created")
    rows = [[r.run, status_of(r), r.suite, r.models, r.done, r.dead, r.jobs, r.created] for r in runs]
    console().print(table(None, columns, rows))


def status_of(run: ListedRun | RunView) -> str:
    """A run's status, with the judging that it is at, or that counts where it is not the first."""
    number = run.judging_under_way or run.judging_shown or 1
    return str(run.status) if number == 1 else f"{run.status}, judging {number}"


def print_run(run: RunDetail) -> None:
    """One run in full."""
    reason = f" ({run.status_reason})" if run.status_reason else ""
    lines = [
        f"Run {run.name}  {run.status}{reason}  id {run.id}",
        f"suite {run.suite_name}@{run.suite_version} ({run.suite[:12]}), {how_many(len(run.sequences), 'sequence')}, "
        f"{how_many(run.repeats, 'repeat')}, seed {run.seed}, priority {run.priority}",
        f"parameters set: {_sets(run)}",
        *([f"every model with each of the variants {', '.join(run.variants)}"] if run.variants else []),
        *([run.waves.sentence()] if run.waves is not None else []),
        *([f"held against {run.fidelity.reference}, token by token"] if run.fidelity is not None else []),
        f"created {run.created_at}, finished {run.finished_at or 'not yet'}, Nightjar {run.nightjar_version}",
    ]
    print(plain("\n".join(lines)))
    print_ending(run)
    if run.judgings:
        rows = [_judging_row(judging, run.judging_shown) for judging in run.judgings]
        console().print(table("Judgings", ("judging>", "judges", "rubric", "status", "began"), rows))
    columns = ("model", "file digest", *(f"{status.lower()}>" for status in JobStatus), "turns>", "empty>")
    console().print(table(None, columns, [_model_row(model) for model in run.models]))
    if run.dead_reasons:
        rows = [[dead.jobs, dead.reason, dead.example[:12]] for dead in run.dead_reasons]
        console().print(table("Dead jobs", ("jobs>", "reason", "for example"), rows))


def cancelled_sentence(before: Run, after: Run) -> str:
    """What `run cancel` did; only the judging of a run may have been cancelled."""
    from nightjar.jobs.closers import who_may_close

    if after.status is RunStatus.CANCELLED:
        return f"Run {after.name!r} is cancelled. `nightjar report {after.name}` shows what there is."
    judging = before.judging.under_way
    what = "What was left of its judging" if judging is None else f"Judging {judging.number} of run {after.name!r}"
    shown = after.judging.shown
    by = "its replies, which are not judged" if shown is None else f"judging {shown}"
    if after.status is RunStatus.DONE:
        return f"{what} is cancelled. The run is DONE by {by}: `nightjar report {after.name}`."
    return f"{what} is cancelled. The run is ready to close by {by}: {who_may_close(after.closers)}."


def _judging_row(judging: JudgingView, shown: int | None) -> list[Any]:
    status = f"{judging.status}, shown" if judging.number == shown else str(judging.status)
    status += f" ({judging.reason})" if judging.reason not in (None, judging.status.lower()) else ""
    began = f"{judging.begun_at:.16}" if judging.begun_at is not None else "with the run"
    return [judging.number, ", ".join(judging.judges), judging.rubric, status, began]


def _model_row(model: RunModelView) -> list[Any]:
    digest = model.digest[:12] if model.digest else "not loaded yet"
    counts = model.jobs or {}
    return [model.name, digest, *(counts.get(key) for key in [*map(str, JobStatus), "turns", "empty"])]


def _sets(run: RunDetail) -> str:
    sets = [f"{key}={value}" for key, value in run.set_parameters.items()]
    for model, layer in run.set_model_parameters.items():
        sets += [f"{model}:{key}={value}" for key, value in layer.items()]
    return ", ".join(sets) or "none"
