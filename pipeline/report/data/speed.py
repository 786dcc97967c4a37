"""Speed of a set of turns: tokens per second, waiting, latency. Pure.

Two rates are told apart. A conversation's own rate is what one reader would see; with many conversations at once
each is slower while the machine as a whole is faster, so the machine's rate is all tokens over the busy time.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.pipeline.transcripts import TurnRow


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds, and tokens per second; None if nothing was measured."""

    prefill_tokens_per_s: float | None
    """Prompt tokens computed (not reused) over the time spent computing them."""
    decode_tokens_per_s: float | None
    """One conversation's own rate: tokens after the first, over the time from first to last."""
    total_tokens_per_s: float | None
    """All reply tokens over the time in which at least one reply was being generated."""
    busy_s: float | None
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    latency_p50_s: float | None
    """From submission to the last token: waiting, prefill and decode."""
    latency_p95_s: float | None
    queue_p50_s: float | None


class SpeedTally:
    """Accumulates timings turn by turn; `speed()` sums them up."""

    def __init__(self) -> None:
        self._prefill_tokens = self._decode_tokens = self._reply_tokens = 0
        self._prefill_s = self._decode_s = 0.0
        self._first, self._total, self._queue = array("d"), array("d"), array("d")
        self._starts, self._ends = array("d"), array("d")

    def add(self, turn: TurnRow, ended_at: float) -> None:
        """Adds a turn; `ended_at` is when it was committed, in POSIX seconds."""
        if turn.prefill_s > 0:
            self._prefill_tokens += turn.prompt_tokens - turn.reused_tokens
            self._prefill_s += turn.prefill_s
        if turn.decode_s > 0:
            self._decode_tokens += max(turn.reply_tokens - 1, 0)
            self._decode_s += turn.decode_s
        if turn.first_token_s is not None:
            self._first.append(turn.first_token_s)
        self._reply_tokens += turn.reply_tokens
        self._queue.append(turn.queue_s)
        self._total.append(turn.total_s)
        self._starts.append(ended_at - turn.prefill_s - turn.decode_s)
        self._ends.append(ended_at)

    def merge(self, other: SpeedTally) -> None:
        """Adds another tally of other turns."""
        self._prefill_tokens += other._prefill_tokens
        self._decode_tokens += other._decode_tokens
        self._reply_tokens += other._reply_tokens
        self._prefill_s += other._prefill_s
        self._decode_s += other._decode_s
        for mine, theirs in (
            (self._first, other._first),
            (self._total, other._total),
            (self._queue, other._queue),
            (self._starts, other._starts),
            (self._ends, other._ends),
        ):
            mine.extend(theirs)

    def speed(self) -> Speed:
        busy = covered_s(self._starts, self._ends)
        return Speed(
            prefill_tokens_per_s=_rate(self._prefill_tokens, self._prefill_s),
            decode_tokens_per_s=_rate(self._decode_tokens, self._decode_s),
            total_tokens_per_s=_rate(self._reply_tokens, busy),
            busy_s=busy if self._ends else None,
            first_token_p50_s=percentile(self._first, 50),
            first_token_p95_s=percentile(self._first, 95),
            latency_p50_s=percentile(self._total, 50),
            latency_p95_s=percentile(self._total, 95),
            queue_p50_s=percentile(self._queue, 50),
        )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Linear interpolation between closest ranks (Hyndman and Fan's type 7); None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def covered_s(starts: Sequence[float], ends: Sequence[float]) -> float:
    """Seconds covered by at least one of the intervals."""
    total, until = 0.0, -math.inf
    for start, end in sorted(zip(starts, ends, strict=True)):
        if end > until:
            total += end - max(start, until)
            until = end
    return total


def _rate(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None
