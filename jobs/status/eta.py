"""How long a run will still take, from what its workers did lately. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from nightjar.jobs.states import WORKING_RUNS, JobStatus
from nightjar.jobs.status.views import JobCounts, RunView, WorkerView


def etas(runs: Sequence[RunView], counts: Mapping[str, JobCounts], workers: Sequence[WorkerView]) -> dict[str, float]:
    """Run id -> seconds until the run is generated; a run is left out where that is unknown, nothing running.

    `runs`: in the order in which they are worked on, since those that come first take the models' turns. `counts`: by
    run id.
    """
    turns_per_s: dict[str, float] = defaultdict(float)
    for worker in workers:
        turns_per_s[worker.model] += worker.turns_per_s
    turns_ahead: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = {}
    for run in runs:
        if run.status not in WORKING_RUNS:
            continue
        left = _turns_left(counts[run.id])
        for model, turns in left.items():
            turns_ahead[model] += turns
        if left and all(turns_per_s[model] > 0 for model in left):
            seconds[run.id] = max(turns_ahead[model] / turns_per_s[model] for model in left)
    return seconds


def _turns_left(jobs: JobCounts) -> dict[str, float]:
    """Turns still to be made per model, from the mean of the run's finished jobs; none before one is finished."""
    left: dict[str, float] = {}
    for model in jobs.models:
        done = jobs.of(JobStatus.DONE, model=model)
        waiting = jobs.of(JobStatus.PENDING, JobStatus.RUNNING, model=model)
        if waiting.jobs and done.jobs:
            left[model] = max(1.0, waiting.jobs * done.committed / done.jobs - waiting.committed)
        elif waiting.jobs:
            return {}
    return left
