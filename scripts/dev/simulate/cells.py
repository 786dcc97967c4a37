"""A cell of a simulation: a share that was counted, the bar that it is held to, and whether the bar is broken. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

NORMAL_99 = 2.576


class Bar(Enum):
    """What a share must keep."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, kw_only=True)
class CountedShare:
    """How often something happened in `sets` simulated sets. A bar is broken when it lies outside the 99 % interval."""

    what: str
    kind: str
    sequences: int
    count: int
    sets: int
    bar: Bar
    limit: float

    @property
    def share(self) -> float:
        return self.count / self.sets

    @property
    def broken(self) -> bool:
        doubt = NORMAL_99 * math.sqrt(self.limit * (1 - self.limit) / self.sets)
        if self.bar is Bar.AT_LEAST:
            return self.share < self.limit - doubt
        return self.share > self.limit + doubt

    def row(self) -> str:
        """As a line of a Markdown table."""
        wanted = f"{self.bar.value} {self.limit:.0%}" + (", **broken**" if self.broken else "")
        return f"| {self.what} | {self.kind} | {self.sequences} | {self.share:.1%} | {wanted} |"
