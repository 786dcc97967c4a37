"""A run that stops when its comparison is decided: its waves, and what each look at them has found. Pure.

A wave is a part of the run's sequences, drawn at random when the run is frozen. Jobs are written wave by wave: while a
wave is not opened, nobody can claim, retry or pause what is in it, since it is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

from pydantic import BaseModel, ConfigDict

UNTIL_DECIDED = "decided"
"""The only thing that `--until` knows."""


class PairState(StrEnum):
    """What a look says of a pair of contestants; all but UNDECIDED are reasons to stop."""

    UNDECIDED = "undecided"
    BETTER = "better"
    """The first is."""
    WORSE = "worse"
    FUTILE = "futile"
    """If the truth is what was seen, the rest would hardly show a difference."""
    ALIKE = "alike"
    """Whatever the difference is, it is within the margin."""


class PairLook(BaseModel):
    """A pair at a look; differences are the first's minus the second's, in values of which more is better."""

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    pairs: int
    """Sequences complete on both sides."""
    difference: float | None = None
    z: float | None = None
    """The normal deviate of the sign-flip test's p; None where the pair was not tested."""
    bound: float | None = None
    """What |z| must reach at this look. None: it was not tested, and used none of the error."""
    level: float
    """The two-sided error that the pair may use over all looks (Holm)."""
    low: float | None = None
    high: float | None = None
    """Ends of the repeated confidence interval at that level."""
    power: float | None = None
    """Conditional: the chance of a difference at the end if the truth is what was seen. None where that is known."""
    state: PairState


class Look(BaseModel):
    """What was found when the waves opened so far had been generated and judged."""

    model_config = ConfigDict(frozen=True)

    sequences: int
    """Asked so far."""
    fraction: float
    """Of all sequences."""
    at: datetime
    pairs: tuple[PairLook, ...]

    def of(self, first: str, second: str) -> PairLook | None:
        """The pair, in this order."""
        return next((pair for pair in self.pairs if (pair.first, pair.second) == (first, second)), None)

    @property
    def decided(self) -> bool:
        return all(pair.state is not PairState.UNDECIDED for pair in self.pairs)


class WavePlan(BaseModel):
    """Frozen with the run."""

    model_config = ConfigDict(frozen=True)

    metric: str
    """The one that decides."""
    margin: float | None = None
    """Two contestants are alike where the repeated interval lies within it, on the metric's own scale."""
    numbers: tuple[int, ...]
    """For each of the run's sequences, in its order, the wave that it belongs to: 0, 1, ..."""

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """How many sequences there are up to the end of each wave."""
        sizes = Counter(self.numbers)
        return tuple(accumulate(sizes[wave] for wave in range(max(self.numbers) + 1)))

    @property
    def count(self) -> int:
        """How many waves there are."""
        return len(self._ends)

    def asked(self, opened: int) -> int:
        """How many sequences the first waves have; all, where there are no more."""
        return self._ends[min(opened, self.count) - 1]


class Waves(BaseModel):
    """The waves of a run and how far it is with them."""

    plan: WavePlan
    opened: int = 1
    """Waves whose jobs are written, or being written."""
    looks: list[Look] = []
    over: bool = False
    """All is decided, or the last wave was looked at: no wave is opened any more."""

    @property
    def asked(self) -> int:
        """How many sequences the opened waves have."""
        return self.plan.asked(self.opened)

    @property
    def left_out(self) -> int:
        """How many sequences were not asked, since all was decided; 0 while that may change."""
        return len(self.plan.numbers) - self.asked if self.over else 0

    @property
    def last(self) -> Look | None:
        return self.looks[-1] if self.looks else None

    def taken(self, sequences: Sequence[str]) -> list[str]:
        """Those of the run's sequences that are in an opened wave, in the run's order."""
        return [name for name, wave in zip(sequences, self.plan.numbers, strict=True) if wave < self.opened]

    def sentence(self) -> str:
        """How far it is, for a person."""
        asked, of = self.asked, len(self.plan.numbers)
        looks = f"look {len(self.looks)} of at most {self.plan.count}"
        if self.left_out:
            return f"decided by {self.plan.metric} after {asked} of {of} sequences ({looks}); {of - asked} are left out"
        if self.over:
            what = "decided" if self.last is not None and self.last.decided else "not decided"
            return f"{what} by {self.plan.metric} with all {of} sequences ({looks})"
        return (
            f"until decided by {self.plan.metric}: wave {self.opened} of {self.plan.count}, {asked} of {of} sequences"
        )
