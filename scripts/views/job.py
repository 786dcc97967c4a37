"""What `nightjar run show RUN --job JOB` shows: one job, its attempts as a timeline, and how its workers ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from datetime import datetime

    from nightjar.jobs.database import Database
    from nightjar.jobs.documents import Job

STDERR_LINES = 12


async def describe_job(job: Job, database: Database) -> dict[str, Any]:
    """A job with its attempts and the crashes of its workers, without its turns' texts."""
    data: dict[str, Any] = job.model_dump(mode="json", exclude={"turns", "payload", "revision_id"})
    turns = [
        {
            "index": turn.index,
            "finish_reason": turn.draw.finish_reason,
            "prompt_tokens": turn.prompt_tokens,
            "reused_tokens": turn.reused_tokens,
            "reply_tokens": turn.draw.reply_tokens,
            "empty": turn.draw.empty,
            "committed_at": turn.committed_at.isoformat(),
        }
        for turn in job.turns
    ]
    return data | {"turns": turns, "attempts": _timeline(job), "crashes": await _crashes(job, database)}


def _timeline(job: Job) -> list[dict[str, Any]]:
    """The attempts kept, each with how long the job had waited for it and how long it lasted, in seconds."""
    rows = []
    before = job.created_at if job.attempts and job.attempts[0].fence == 1 else None
    for attempt in job.attempts:
        rows.append(
            attempt.model_dump(mode="json")
            | {
                "waited_s": _seconds(before, attempt.started_at),
                "lasted_s": _seconds(attempt.started_at, attempt.ended_at),
            }
        )
        before = attempt.ended_at
    return rows


async def _crashes(job: Job, database: Database) -> list[dict[str, Any]]:
    """What supervisors wrote down of processes that died with this job in hand."""
    workers = [attempt.worker for attempt in job.attempts]
    cursor = database.raw["crashes"].find({"worker": {"$in": workers}, "held": job.id}).sort("at", 1)
    return [
        {
            "worker": row["worker"],
            "at": row["at"].isoformat(),
            "reason": row["reason"],
            "jobs_in_hand": len(row["held"]),
            "stderr": row["stderr"],
        }
        async for row in cursor
    ]


def print_job(data: dict[str, Any]) -> None:
    reason = f" ({data['reason']})" if data["reason"] else ""
    print(plain(f"Job {data['id']}  {data['sequence']} x {data['model']}, repeat {data['repeat']}"))
    print(plain(f"{data['status']}{reason}, {data['turns_committed']} of {data['turns_total']} turns"))
    counters = f"tries {data['tries']}, lapses {data['lapses']}, crashes {data['crashes']}, fence {data['fence']}"
    print(counters + (", suspect" if data["suspect"] else ""))
    columns = ("fence>", "waited>", "began (UTC)", "lasted>", "worker", "end", "turns>", "why")
    console().print(table("Attempts", columns, [_attempt_row(attempt) for attempt in data["attempts"]]))
    turns = [
        [t["index"], t["finish_reason"], t["prompt_tokens"], t["reused_tokens"], t["reply_tokens"], t["empty"]]
        for t in data["turns"]
    ]
    console().print(table("Turns", ("turn>", "finish", "prompt>", "reused>", "reply>", "empty"), turns))
    for crash in data["crashes"]:
        others = f" with {crash['jobs_in_hand'] - 1} other jobs in hand" if crash["jobs_in_hand"] > 1 else ""
        print(plain(f"Worker {crash['worker']} {crash['reason']}{others}; it last wrote:"))
        for line in crash["stderr"].splitlines()[-STDERR_LINES:]:
            print(plain(f"  {line}"))


def _attempt_row(attempt: dict[str, Any]) -> list[Any]:
    began = attempt["started_at"].partition(".")[0].replace("T", " ").rstrip("Z")
    return [
        attempt["fence"],
        _shown(attempt["waited_s"]),
        began,
        _shown(attempt["lasted_s"]),
        attempt["worker"],
        attempt["end"] or "running",
        attempt["turns_committed"],
        attempt["error"],
    ]


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)


def _shown(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"
