"""Why jobs wait. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nightjar.jobs.states import WORKING_RUNS, RunStatus, WorkerStatus

SILENT_S = 20.0
"""A dispatcher rings several times in this time, also on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class ModelWait:
    """What bears on the waiting jobs of one model."""

    statuses: frozenset[RunStatus]
    """Of the runs the jobs belong to."""
    earliest_due: datetime | None
    """Of those in working runs."""
    now: datetime
    only_suspects: bool
    worker_states: Mapping[str, tuple[WorkerStatus, str | None]]
    """Worker id -> (state, reason), of this model's workers."""
    free_slots: int
    redis_reason: str | None
    """None: Redis is well."""
    dispatching: bool
    silent_s: float | None = None
    """Since a dispatcher last rang; None: not known."""
    auto: str | None = None
    """Where a `worker --model auto` lives: why it cannot serve the model, or "" where it can."""


def explain(wait: ModelWait) -> tuple[str | None, bool]:
    """The reason in words, None where the jobs are about to start; and whether they would wait forever."""
    if not wait.statuses & WORKING_RUNS:
        if wait.statuses == {RunStatus.EXPANDING}:
            return "the run is being written", False
        return "paused", False
    if wait.redis_reason is not None:
        return "redis down", True
    states = [state for state, _ in wait.worker_states.values()]
    if WorkerStatus.READY not in states:
        return _no_worker(wait)
    held_up = [reason for state, reason in wait.worker_states.values() if state is WorkerStatus.READY]
    if all(held_up):
        return held_up[0], True
    if not wait.dispatching:
        return "no dispatcher runs", True
    if wait.silent_s is not None and wait.silent_s > SILENT_S:
        return f"nobody rings: no dispatcher has reached Redis for {wait.silent_s:.0f} s", True
    if wait.earliest_due is not None and wait.earliest_due > wait.now:
        return f"backoff until {wait.earliest_due:%H:%M:%S} UTC", False
    if wait.only_suspects:
        return "suspect: they run one at a time", False
    return ("all slots are busy", False) if wait.free_slots <= 0 else (None, False)


def _no_worker(wait: ModelWait) -> tuple[str, bool]:
    states = dict(wait.worker_states.values())
    if WorkerStatus.LOADING in states:
        return "worker is loading", False
    if wait.auto == "":
        return "worker --model auto takes it next", False
    for state in (WorkerStatus.STALLED, WorkerStatus.FAILED, WorkerStatus.DEAD):
        if state in states:
            detail = f": {states[state]}" if states[state] else ""
            return f"no worker for model; the last one is {state}{detail}", True
    if WorkerStatus.DRAINING in states:
        return "no worker for model; the last one is draining", True
    if wait.auto is not None:
        return f"no worker for model; worker --model auto cannot serve it: {wait.auto}", True
    return "no worker for model", True
