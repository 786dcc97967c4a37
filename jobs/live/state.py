"""How a live request stands in MongoDB, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import (
    CancelledReplyError,
    LiveError,
    NightjarError,
    ParameterError,
    TemplateError,
    TooLongError,
)
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import MISFIT, Draw, TokenChance, TurnRecord
from nightjar.jobs.states import JobStatus

PATIENCE_S = 5.0
_FIELDS: Row = {
    **dict.fromkeys("status reason created_at turns live suspect payload.result attempts.started_at".split(), 1),
    "lapsed_ms": {"$subtract": ["$$NOW", "$lease_until"]},
}
_ASKED_WRONGLY: dict[str, type[NightjarError]] = {"ParameterError": ParameterError, "TemplateError": TemplateError}
"""Of the errors that a job ends with, those that are the request's own fault."""


@dataclass(frozen=True, kw_only=True)
class LiveEnd:
    """A reply that is complete. Seconds and tokens as in `jobs.records`."""

    job: str
    reply: str
    reasoning: str
    finish_reason: str
    stop_string: str | None
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    reasoning_tokens: int
    seed: int
    fence: int
    worker: str
    claim_s: float | None
    """From the request's insertion to the first claim, by MongoDB's clock."""
    queue_s: float
    prefill_s: float
    decode_s: float
    first_token_s: float | None
    mean_logprob: float | None
    empty: str | None
    usd: float | None = None
    """What its draws cost at its endpoint; None for a local model, and where the price is unknown."""
    remote: bool = False
    """An endpoint wrote it."""
    cached: bool = False
    """It was computed for an earlier request, or for another at the same time."""
    saved_usd: float | None = None
    """Of a cached one: what it cost then."""
    chances: tuple[TokenChance, ...]
    """Token by token, those of the reasoning first; empty unless `top_logprobs` asked for them."""


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """`error`: why there will be no reply. `lapsed_s`: how long ago its lease ended; 0 while it holds."""

    status: JobStatus
    lapsed_s: float = 0.0
    error: NightjarError | None = None
    row: Row

    @property
    def result(self) -> Row | None:
        """Of an ASSIST job that is DONE."""
        result: Row | None = (self.row.get("payload") or {}).get("result")
        return result

    def end(self) -> LiveEnd:
        """Of one that is DONE."""
        record = TurnRecord.model_validate(self.row["turns"][0])
        draw = record.draw
        attempts = self.row["attempts"]
        claimed = (attempts[0]["started_at"] - self.row["created_at"]).total_seconds() if attempts else None
        return LiveEnd(
            job=self.row["_id"],
            reply=draw.reply,
            reasoning=draw.reasoning,
            finish_reason=draw.finish_reason,
            stop_string=draw.stop_string,
            prompt_tokens=record.prompt_tokens,
            reused_tokens=record.reused_tokens,
            reply_tokens=draw.reply_tokens,
            reasoning_tokens=draw.reasoning_tokens,
            seed=draw.seed,
            fence=record.fence,
            worker=record.worker,
            claim_s=claimed,
            queue_s=draw.timings.queue_s,
            prefill_s=draw.timings.prefill_s,
            decode_s=draw.timings.decode_s,
            first_token_s=draw.timings.first_token_s,
            mean_logprob=draw.mean_logprob,
            empty=draw.empty,
            chances=draw.chances,
            usd=_usd(record.draws),
            remote=draw.remote is not None,
        )


def _usd(draws: Sequence[Draw]) -> float | None:
    costs = [draw.remote.usd if draw.remote is not None else None for draw in draws]
    known = [usd for usd in costs if usd is not None]
    return sum(known) if len(known) == len(costs) else None


async def read_live_state(job: str, database: Database) -> LiveState:
    """Raises ServiceError where MongoDB is away."""
    row = await patiently(lambda: database.jobs.find_one({"_id": job}, _FIELDS), patience_s=PATIENCE_S)
    if row is None:
        gone = CancelledReplyError("The request was removed.")
        return LiveState(status=JobStatus.CANCELLED, error=gone, row={})
    status = JobStatus(row["status"])
    lapsed_s = max(0.0, (row.get("lapsed_ms") or 0) / 1000)
    return LiveState(status=status, lapsed_s=lapsed_s, error=_error(status, row), row=row)


def _error(status: JobStatus, row: Row) -> NightjarError | None:
    reason = str(row.get("reason") or "no reason is recorded")
    if status is JobStatus.CANCELLED:
        return CancelledReplyError(f"The request was cancelled: {reason}.")
    if status is JobStatus.DONE and not row["turns"] and not (row.get("payload") or {}).get("result"):
        return LiveError("Its texts were not to be stored, and are gone. Ask again.")
    if status is JobStatus.DONE and (misfit := _misfit(row)) is not None:
        return LiveError(f"The model's reply is {misfit}.")
    if status is JobStatus.PENDING and row.get("suspect"):
        return LiveError("Its worker crashed while it replied. Ask again; if that happens again, the request is why.")
    if status is not JobStatus.DEAD:
        return None
    name, text = _split(reason)
    refused: dict[str, Any] | None = (row.get("live") or {}).get("refused")
    if refused is not None:
        return TooLongError(text, tokens=refused["tokens"], context=refused["context"])
    kind = _ASKED_WRONGLY.get(name)
    return LiveError(f"The model gave no reply: {text}") if kind is None else kind(text)


def _misfit(row: Row) -> str | None:
    """Why a reply that ended by itself is not what its schema asks for; endpoints may not keep to one."""
    if not row["turns"]:
        return None
    draw = row["turns"][0]["draws"][0]
    reason: str = draw.get("degenerate") or ""
    return reason if draw["finish_reason"] == "stop" and reason.startswith(MISFIT) else None


def _split(reason: str) -> tuple[str, str]:
    """The class and the message of an error, as jobs record them."""
    match = re.match(r"(\w+Error): (.*)", reason, re.DOTALL)
    return (match[1], match[2]) if match else ("", reason)
