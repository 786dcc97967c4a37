"""States of runs and jobs, and which moves between them are legal. Pure."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


class RunStatus(StrEnum):
    EXPANDING = "EXPANDING"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    JUDGING = "JUDGING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    CANCELLED = "CANCELLED"


class JobKind(StrEnum):
    REPLY = "reply"
    JUDGE = "judge"
    EMBED = "embed"


TERMINAL_JOBS = frozenset({JobStatus.DONE, JobStatus.DEAD, JobStatus.CANCELLED})
TERMINAL_RUNS = frozenset({RunStatus.DONE, RunStatus.STOPPED, RunStatus.CANCELLED})
WORKING_RUNS = frozenset({RunStatus.ACTIVE, RunStatus.JUDGING})
"""Runs whose due jobs the dispatcher may queue and workers may claim."""

JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.PENDING, JobStatus.DONE, JobStatus.DEAD, JobStatus.CANCELLED}),
    JobStatus.DONE: frozenset(),
    JobStatus.DEAD: frozenset({JobStatus.PENDING}),
    JobStatus.CANCELLED: frozenset(),
}
"""Kept by the queries of each act on a job; a test tries every act in every status."""

RUN_MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.EXPANDING: frozenset({RunStatus.ACTIVE, RunStatus.CANCELLED}),
    RunStatus.ACTIVE: frozenset(
        {RunStatus.PAUSED, RunStatus.JUDGING, RunStatus.STOPPED, RunStatus.CANCELLED, RunStatus.EXPANDING}
    ),
    RunStatus.PAUSED: frozenset({RunStatus.ACTIVE, RunStatus.CANCELLED}),
    RunStatus.JUDGING: frozenset({RunStatus.PAUSED, RunStatus.DONE, RunStatus.STOPPED, RunStatus.CANCELLED}),
    RunStatus.DONE: frozenset({RunStatus.ACTIVE, RunStatus.JUDGING, RunStatus.EXPANDING}),
    RunStatus.STOPPED: frozenset({RunStatus.ACTIVE, RunStatus.EXPANDING}),
    RunStatus.CANCELLED: frozenset(),
}
"""A run that grows (more models or repeats) is EXPANDING again until its new jobs are written."""
