"""What a score is, and what its numbers mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

LARGEST = 1e100
"""Larger values are on no scale: sums of their squares would overflow."""


class Direction(StrEnum):
    HIGHER = "higher"
    """More is better."""
    LOWER = "lower"
    """Less is better."""
    NONE = "none"
    """A measure: neither end is better, and a failed reply has no worst value."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a scorer's numbers mean. `worst` is what a model failure gets; None for a measure."""

    worst: float | None
    best: float | None
    direction: Direction
    unit: str = ""
    least: float | None = None
    """No value lies below; where a measure has a floor."""
    most: float | None = None
    geometric: bool = False
    """Means are taken of the logarithms: perplexities."""

    @property
    def has_better_end(self) -> bool:
        """Whether it tells good from bad; a measure does not."""
        return self.direction is not Direction.NONE

    @property
    def width(self) -> float | None:
        """From one end to the other; None where it has no two ends."""
        return None if self.worst is None or self.best is None else abs(self.best - self.worst)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value that a score may have, by the two ends and the two limits."""
        low, high = (self.best, self.worst) if self.direction is Direction.LOWER else (self.worst, self.best)
        lows = [limit for limit in (low, self.least) if limit is not None]
        highs = [limit for limit in (high, self.most) if limit is not None]
        return max(lows, default=-LARGEST), min(highs, default=LARGEST)

    @property
    def sign(self) -> float:
        """What to multiply values by so that more is better."""
        return -1.0 if self.direction is Direction.LOWER else 1.0

    @property
    def is_share(self) -> bool:
        """From 0 to 1, more is better, and made of passes and fails; a similarity or a probability is not."""
        return (self.worst, self.best) == (0.0, 1.0) and self.unit not in (SIMILARITY_UNIT, PROBABILITY_UNIT)


SIMILARITY_UNIT = "similarity"
PROBABILITY_UNIT = "probability"
PASS = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="pass", least=0.0, most=1.0)
SHARE = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="share", least=0.0, most=1.0)
PROBABILITY = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit=PROBABILITY_UNIT, least=0.0, most=1.0)
SIMILARITY = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit=SIMILARITY_UNIT, least=0.0, most=1.0)


class ScoreState(StrEnum):
    SCORED = "scored"
    WORST = "worst"
    """A model failure (empty, degenerate, repeated): the scale's worst value."""
    UNSCORED = "unscored"
    """No value possible; never a number."""
    FAILED = "failed"
    """The scorer raised; never a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One scorer's result. `value` is None exactly where the state is unscored or failed; then `reason` says why."""

    value: float | None
    state: ScoreState = ScoreState.SCORED
    answer: str | None = None
    """What the scorer took from the reply: the number, the letter, the match."""
    reason: str | None = None
    weight: float | None = None
    """How much it counts in a mean, where scores count for different amounts: words, bytes or tokens of a text."""


JobScores = dict[int, dict[str, Score]]
"""Of one job: turn -> name of the score -> score."""


def merge_scores(parts: Iterable[Mapping[int, Mapping[str, Score]]]) -> JobScores:
    """One job's scores from several scorers, in their order."""
    merged: JobScores = {}
    for part in parts:
        for turn, scores in part.items():
            merged.setdefault(turn, {}).update(scores)
    return merged


PASSED = Score(value=1.0)


def passed(met: bool, *, answer: str | None = None, reason: str | None = None) -> Score:
    """The score of a pass-or-fail scorer; `reason` is kept only where it failed."""
    if met:
        return PASSED if answer is None else Score(value=1.0, answer=answer)
    return Score(value=0.0, answer=answer, reason=reason)


def unscored(reason: str) -> Score:
    """The score of a reply that this scorer can say nothing of."""
    return Score(value=None, state=ScoreState.UNSCORED, reason=reason)


def well_formed(text: str) -> str:
    """The text without lone halves of surrogate pairs: neither MongoDB nor a file in UTF-8 can hold them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
