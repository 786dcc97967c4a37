"""How `nightjar run` shows runs: the list, and one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.jobs.states import JobStatus
from nightjar.scripts.views.ending import print_ending
from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightjar.jobs.status.run import ListedRun, RunDetail, RunModelView


def print_runs(runs: Sequence[ListedRun]) -> None:
    """The list of runs."""
    columns = ("run", "status", "suite", "models", "done>", "dead>", "jobs>", "created")
    rows = [[r.run, r.status, r.suite, r.models, r.done, r.dead, r.jobs, r.created] for r in runs]
    console().print(table(None, columns, rows))


def print_run(run: RunDetail) -> None:
    """One run in full."""
    reason = f" ({run.status_reason})" if run.status_reason else ""
    lines = [
        f"Run {run.name}  {run.status}{reason}  id {run.id}",
        f"suite {run.suite_name}@{run.suite_version} ({run.suite[:12]}), {how_many(len(run.sequences), 'sequence')}, "
        f"{how_many(run.repeats, 'repeat')}, seed {run.seed}, priority {run.priority}",
        f"parameters set: {_sets(run)}",
        f"created {run.created_at}, finished {run.finished_at or 'not yet'}, Nightjar {run.nightjar_version}",
    ]
    print(plain("\n".join(lines)))
    print_ending(run)
    columns = ("model", "file digest", *(f"{status.lower()}>" for status in JobStatus), "turns>", "empty>")
    console().print(table(None, columns, [_model_row(model) for model in run.models]))
    if run.dead_reasons:
        rows = [[dead.jobs, dead.reason, dead.example[:12]] for dead in run.dead_reasons]
        console().print(table("Dead jobs", ("jobs>", "reason", "for example"), rows))


def _model_row(model: RunModelView) -> list[Any]:
    digest = model.digest[:12] if model.digest else "not loaded yet"
    counts = model.jobs or {}
    return [model.name, digest, *(counts.get(key) for key in [*map(str, JobStatus), "turns", "empty"])]


def _sets(run: RunDetail) -> str:
    sets = [f"{key}={value}" for key, value in run.set_parameters.items()]
    for model, layer in run.set_model_parameters.items():
        sets += [f"{model}:{key}={value}" for key, value in layer.items()]
    return ", ".join(sets) or "none"
