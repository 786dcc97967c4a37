"""States of runs, jobs and workers, and which moves between them are legal. Pure."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """See `JOB_MOVES`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


class RunStatus(StrEnum):
    """See `RUN_MOVES`."""

    EXPANDING = "EXPANDING"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    JUDGING = "JUDGING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    CANCELLED = "CANCELLED"
    REMOVING = "REMOVING"
    """It is being deleted: some of it may be gone. Whoever comes by finishes that; see `jobs.runs.removal`."""


class RunKind(StrEnum):
    """What a run is for."""

    EVALUATION = "evaluation"
    LIVE = "live"
    """It holds one user's live requests of a day: hidden, never judged, never closed. See `jobs.live.runs`."""


EVALUATIONS = {"kind": {"$ne": RunKind.LIVE}}
"""A query for the runs that lists, nights, exports and statistics know."""


class JobKind(StrEnum):
    """What a job asks its model for."""

    REPLY = "reply"
    JUDGE = "judge"
    EMBED = "embed"
    FIDELITY = "fidelity"
    """How far the model is from a reference, on conversations of the run."""
    ASSIST = "assist"
    """Live only: something about texts that only the model's own vocabulary, template or weights can tell."""


class WorkerStatus(StrEnum):
    """What a worker does: as it says itself in its beats, or as others conclude from its silence."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    """It claims nothing more and finishes what it has."""
    STALLED = "stalled"
    """Its engine makes no step, or it has not been heard of for a while."""
    FAILED = "failed"
    """It could not load its model."""
    DEAD = "dead"

    @property
    def alive(self) -> bool:
        """Whether it works or is about to; who asks of a stored status applies `jobs.machines.workers.status_now`."""
        return self in (WorkerStatus.LOADING, WorkerStatus.READY, WorkerStatus.DRAINING)


TERMINAL_JOBS = frozenset({JobStatus.DONE, JobStatus.DEAD, JobStatus.CANCELLED})
TERMINAL_RUNS = frozenset({RunStatus.DONE, RunStatus.STOPPED, RunStatus.CANCELLED})
WORKING_RUNS = frozenset({RunStatus.ACTIVE, RunStatus.JUDGING})
"""Runs whose due jobs the dispatcher may queue and workers may claim."""

JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.DEAD, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.PENDING, JobStatus.DONE, JobStatus.DEAD, JobStatus.CANCELLED}),
    JobStatus.DONE: frozenset(),
    JobStatus.DEAD: frozenset({JobStatus.PENDING}),
    JobStatus.CANCELLED: frozenset({JobStatus.PENDING}),
}
"""Kept by the queries of each act on a job; a test tries every act in every status.

What a cancelled judging left is done after all where a later one asks for the same.
"""

RUN_MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.EXPANDING: frozenset({RunStatus.ACTIVE, RunStatus.CANCELLED}),
    RunStatus.ACTIVE: frozenset(
        {RunStatus.PAUSED, RunStatus.JUDGING, RunStatus.STOPPED, RunStatus.CANCELLED, RunStatus.EXPANDING}
    ),
    RunStatus.PAUSED: frozenset({RunStatus.ACTIVE, RunStatus.CANCELLED}),
    RunStatus.JUDGING: frozenset(
        {RunStatus.PAUSED, RunStatus.DONE, RunStatus.STOPPED, RunStatus.EXPANDING, RunStatus.CANCELLED}
    ),
    RunStatus.DONE: frozenset({RunStatus.ACTIVE, RunStatus.JUDGING, RunStatus.EXPANDING, RunStatus.REMOVING}),
    RunStatus.STOPPED: frozenset({RunStatus.ACTIVE, RunStatus.EXPANDING, RunStatus.REMOVING}),
    RunStatus.CANCELLED: frozenset({RunStatus.REMOVING}),
    RunStatus.REMOVING: frozenset(),
}
"""A run that grows (more models or repeats, another wave) is EXPANDING again until its new jobs are written.

Cancelled while it is judged, or paused in that, a run is DONE by what counts then (`jobs.runs.judging_moves`).
"""
