"""One job in full: its attempts as a timeline, its turns without their texts, and how its workers died."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from nightjar.jobs.documents import Job
from nightjar.jobs.machines.workers import crashes_holding
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import FinishReason
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.routing.routed import JobRoute
from nightjar.jobs.states import JobKind, JobStatus


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    """An attempt, how long the job had waited for it, and how long it lasted."""

    fence: int
    worker: str
    host: str
    started_at: str
    ended_at: str | None
    end: AttemptEnd | None
    error: str | None
    turns_committed: int
    waited_s: float | None
    lasted_s: float | None


@dataclass(frozen=True, kw_only=True)
class JobTurnView:
    """A committed turn without its texts."""

    index: int
    finish_reason: FinishReason
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    empty: str | None
    committed_at: str


@dataclass(frozen=True, kw_only=True)
class CrashView:
    """The death of a worker process that held the job."""

    worker: str
    at: str
    reason: str
    jobs_in_hand: int
    stderr: str


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """A job with all but its payload. Moments are ISO 8601."""

    id: str
    run: str
    kind: JobKind
    model: str
    sequence: str
    sequence_digest: str
    sequence_document: str
    repeat: int
    tags: list[str]
    order: int
    priority: int
    status: JobStatus
    reason: str | None
    due_at: str
    fence: int
    owner: str | None
    lease_until: str | None
    suspect: bool
    tries: int
    lapses: int
    crashes: tuple[CrashView, ...]
    turns_total: int
    turns_committed: int
    turns_empty: int
    attempts: tuple[AttemptView, ...]
    created_at: str
    finished_at: str | None
    turns: tuple[JobTurnView, ...]
    variant: str | None
    routed: JobRoute | None
    """Who answers for a policy, and why; None: the model answers for itself."""

    @property
    def crashed(self) -> int:
        """How many of the attempts that are kept ended with a crash of their worker."""
        return sum(attempt.end == AttemptEnd.CRASHED for attempt in self.attempts)


_COPIED = {field.name for field in fields(JobDetail)} - {"crashes", "attempts", "turns", "routed"}
"""Fields that are shown as they are stored."""


async def describe_job(job: Job, database: Database) -> JobDetail:
    """A job with its attempts and the deaths of its workers, without its turns' texts."""
    stored = job.model_dump(mode="json", include=_COPIED)
    crashes = await _crashes(job, database)
    return JobDetail(**stored, turns=_turns(job), attempts=_timeline(job), crashes=crashes, routed=job.routed)


def _turns(job: Job) -> tuple[JobTurnView, ...]:
    return tuple(
        JobTurnView(
            index=turn.index,
            finish_reason=turn.draw.finish_reason,
            prompt_tokens=turn.prompt_tokens,
            reused_tokens=turn.reused_tokens,
            reply_tokens=turn.draw.reply_tokens,
            empty=turn.draw.empty,
            committed_at=turn.committed_at.isoformat(),
        )
        for turn in job.turns
    )


def _timeline(job: Job) -> tuple[AttemptView, ...]:
    """The attempts that are kept; what the job had waited for the first is known only where that is still there."""
    views = []
    before = job.created_at if job.attempts and job.attempts[0].fence == 1 else None
    for attempt in job.attempts:
        waited_s, lasted_s = _seconds(before, attempt.started_at), _seconds(attempt.started_at, attempt.ended_at)
        views.append(AttemptView(**attempt.model_dump(mode="json"), waited_s=waited_s, lasted_s=lasted_s))
        before = attempt.ended_at
    return tuple(views)


async def _crashes(job: Job, database: Database) -> tuple[CrashView, ...]:
    """What supervisors recorded of processes that died with this job in hand."""
    return tuple(
        CrashView(
            worker=crash.worker,
            at=crash.at.isoformat(),
            reason=crash.reason,
            jobs_in_hand=len(crash.held),
            stderr=crash.stderr,
        )
        for crash in await crashes_holding(job.id, {attempt.worker for attempt in job.attempts}, database)
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)
