"""What a failed request means: whether it is sent again, its job comes back later, or its endpoint is paused. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

LONGEST_RETRY_AFTER_S = 3600.0
SAID_CHARS = 300
NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""What OpenAI calls a 429 that no waiting mends."""
_TOO_LONG = re.compile(r"context.{0,20}(length|size|window)|maximum context|too many tokens|exceed.{0,40}context", re.I)


class FailureKind(StrEnum):
    """What follows from a failure."""

    BUSY = "busy"
    """The endpoint says when to come back: no try is counted."""
    PASSING = "passing"
    """Another try may succeed."""
    CUT = "cut"
    """The same, but the server has begun to answer: what it wrote may have to be paid for."""
    REFUSED = "refused"
    """Every request would fail like this until somebody acts: the endpoint is paused."""
    TOO_LONG = "too long"
    """The prompt does not fit the model's context."""
    INVALID = "invalid"
    """This request can never succeed."""


class RequestFailure(Exception):  # it becomes one of `config.errors` where it leaves this folder
    """One request that brought no reply. `said`: for a person, what happened, in a few words.

    `charged`: the server may have worked for it, so that it counts as paid for.
    """

    def __init__(
        self, kind: FailureKind, said: str, *, retry_after_s: float | None = None, charged: bool = False
    ) -> None:
        super().__init__(said)
        self.kind = kind
        self.said = said
        self.retry_after_s = retry_after_s
        self.charged = charged


def of_status(status: int, headers: Mapping[str, str], said: str, now: datetime, *, code: str = "") -> RequestFailure:
    """What an HTTP status other than 2xx means. `said`, `code`: the server's own words, and its name for the error."""
    words = f"HTTP {status}: {brief(said)}" if said else f"HTTP {status}"
    pause = retry_after(headers, now)
    if status == 429 and code in NO_CREDIT:
        return RequestFailure(FailureKind.REFUSED, words)
    if status in (429, 503) and pause is not None:
        return RequestFailure(FailureKind.BUSY, words, retry_after_s=pause)
    if status in (408, 409, 425, 429) or status >= 500:
        return RequestFailure(FailureKind.PASSING, words)
    if status in (401, 402, 403, 404) or 300 <= status < 400:
        redirect = " (redirects are not followed: the key is for this address alone)" if status < 400 else ""
        return RequestFailure(FailureKind.REFUSED, words + redirect)
    kind = FailureKind.TOO_LONG if _TOO_LONG.search(said) else FailureKind.INVALID
    return RequestFailure(kind, words)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until `Retry-After` (seconds, or a date) or `retry-after-ms`; None where the server says nothing."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return min(milliseconds / 1000, LONGEST_RETRY_AFTER_S)
    text = headers.get("retry-after")
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return min(seconds, LONGEST_RETRY_AFTER_S)
    try:
        return min(max(0.0, (parsedate_to_datetime(text) - now).total_seconds()), LONGEST_RETRY_AFTER_S)
    except (ValueError, TypeError):
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.strip()) else None


def brief(said: str) -> str:
    """A server's words on one line, not too many of them."""
    return " ".join(said.split())[:SAID_CHARS]
