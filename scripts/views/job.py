"""What `nightjar run show RUN --job JOB` shows: one job, its attempts as a timeline, and how its workers ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.jobs.variants import contestant_name
from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.status.job import AttemptView, JobDetail

STDERR_LINES = 12


def print_job(job: JobDetail) -> None:
    """One job in full, with the last words of the workers that died with it."""
    reason = f" ({job.reason})" if job.reason else ""
    asked = job.model if job.routed is None else job.routed.asked_as
    print(plain(f"Job {job.id}  {job.sequence} x {contestant_name(asked, job.variant)}, repeat {job.repeat}"))
    if job.routed is not None:
        print(plain(f"Answered by {job.routed.words}"))
    print(plain(f"{job.status}{reason}, {job.turns_committed} of {how_many(job.turns_total, 'turn')}"))
    counters = f"tries {job.tries}, lapses {job.lapses}, crashes {job.crashed}, fence {job.fence}"
    print(counters + (", suspect" if job.suspect else ""))
    columns = ("fence>", "waited>", "began (UTC)", "lasted>", "worker", "end", "turns>", "why")
    console().print(table("Attempts", columns, [_attempt_row(attempt) for attempt in job.attempts]))
    turns = [
        [t.index + 1, t.finish_reason, t.prompt_tokens, t.reused_tokens, t.reply_tokens, t.empty] for t in job.turns
    ]
    console().print(table("Turns", ("turn>", "finish", "prompt>", "reused>", "reply>", "empty"), turns))
    for crash in job.crashes:
        others = f" with {crash.jobs_in_hand - 1} other jobs in hand" if crash.jobs_in_hand > 1 else ""
        print(plain(f"Worker {crash.worker} {crash.reason}{others}; it last wrote:"))
        for line in crash.stderr.splitlines()[-STDERR_LINES:]:
            print(plain(f"  {line}"))


def _attempt_row(attempt: AttemptView) -> list[Any]:
    began = attempt.started_at.partition(".")[0].replace("T", " ").rstrip("Z")
    return [
        attempt.fence,
        _shown(attempt.waited_s),
        began,
        _shown(attempt.lasted_s),
        attempt.worker,
        attempt.end or "running",
        attempt.turns_committed,
        attempt.error,
    ]


def _shown(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"
