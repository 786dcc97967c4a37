"""How long a run will still take, from what its workers did lately. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.states import WORKING_RUNS, JobStatus
from nightjar.jobs.status.views import WorkerView


@dataclass(frozen=True, kw_only=True)
class JobGroup:
    """Jobs of one status and model, and their turns."""

    jobs: int
    committed: int
    empty: int


Counts = Mapping[str, Mapping[tuple[str, str], JobGroup]]
"""Run id -> (status, model) -> group."""


def etas(runs: Sequence[Mapping[str, Any]], counts: Counts, workers: Sequence[WorkerView]) -> dict[str, float]:
    """Seconds until each working run is generated, its models' turns shared by priority; unknown where nothing runs."""
    rates: dict[str, float] = defaultdict(float)
    for worker in workers:
        rates[worker.model] += worker.turns_per_s
    ahead: dict[str, float] = defaultdict(float)
    found: dict[str, float] = {}
    for run in runs:
        if run["status"] not in WORKING_RUNS:
            continue
        left = _turns_left(counts.get(run["_id"], {}))
        for model, turns in left.items():
            ahead[model] += turns
        waits = [ahead[model] / rates[model] if rates[model] > 0 else None for model in left]
        known = [wait for wait in waits if wait is not None]
        if left and len(known) == len(waits):
            found[run["_id"]] = max(known)
    return found


def _turns_left(groups: Mapping[tuple[str, str], JobGroup]) -> dict[str, float]:
    """Turns still to be made per model, from the mean of the run's finished jobs; none before one is finished."""
    left: dict[str, float] = {}
    for model in {model for _, model in groups}:
        done = groups.get((JobStatus.DONE, model))
        open_ = [groups[key] for key in ((JobStatus.PENDING, model), (JobStatus.RUNNING, model)) if key in groups]
        jobs = sum(group.jobs for group in open_)
        if jobs and done is not None and done.jobs:
            left[model] = max(1.0, jobs * done.committed / done.jobs - sum(group.committed for group in open_))
        elif jobs:
            return {}
    return left
