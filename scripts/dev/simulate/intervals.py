"""How often 95 % intervals of means and of differences hold the truth, and how wide they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.pipeline.statistics.intervals import Interval, bounded_interval, share_interval, t_interval
from nightjar.pipeline.statistics.paired import paired_interval, without_dust
from nightjar.scripts.dev.simulate.cells import Bar, CountedShare
from nightjar.scripts.dev.simulate.draws import SEED, ScoreKind, kinds

SIZES = (5, 7, 12, 20, 30, 80)
COVERED = 0.93
HELD_FROM = 7
WIDTH_FROM = 20
WIDEST = 1.1
NOMINAL = (0.94, 0.97)
"""Where Student's t covers so often, ours may be at most WIDEST times as wide. Where it covers more, it does so because
most differences are exact ties and the truth is none: there no interval that also holds a difference can be as narrow,
since the sets are the same."""


@dataclass(frozen=True, kw_only=True)
class Width:
    """Mean width over that of Student's t, and how often t holds the truth."""

    what: str
    kind: str
    sequences: int
    ratio: float
    t_covers: float

    @property
    def compared(self) -> bool:
        return self.sequences >= WIDTH_FROM and NOMINAL[0] <= self.t_covers <= NOMINAL[1]

    @property
    def broken(self) -> bool:
        return self.compared and self.ratio > WIDEST * 1.01  # a hundredth is what 2,000 sets leave open

    def row(self) -> str:
        wanted = f"at most {WIDEST}" + (", **broken**" if self.broken else "") if self.compared else ""
        return f"| {self.what} | {self.kind} | {self.sequences} | {self.ratio:.2f} | {self.t_covers:.1%} | {wanted} |"


def interval_cells(sets: int, sizes: Sequence[int] = SIZES) -> Iterator[tuple[CountedShare, Width]]:
    """For each kind of score and size: of the mean of the first model, and of the difference."""
    import numpy as np

    for at, kind in enumerate(kinds()):
        for sequences in sizes:
            first, second = kind.draw(np.random.default_rng([SEED, at, sequences]), sets, sequences).tolist()
            means = [(_of_mean(kind, values), t_interval(values)) for values in first]
            yield _counted("mean", kind, sequences, means, kind.means[0])
            pairs = zip(first, second, strict=True)
            differences = [(_of_difference(kind, *pair), _students(*pair)) for pair in pairs]
            yield _counted("difference", kind, sequences, differences, kind.means[0] - kind.means[1])


def _of_mean(kind: ScoreKind, values: list[float]) -> Interval | None:
    if kind.trials:
        return share_interval(values, kind.trials * len(values))
    return bounded_interval(values, *kind.ends)


def _of_difference(kind: ScoreKind, first: list[float], second: list[float]) -> Interval | None:
    width = kind.ends[1] - kind.ends[0]
    differences = without_dust([one - other for one, other in zip(first, second, strict=True)], width)
    return paired_interval(first, second, differences, kind.ends)


def _students(first: list[float], second: list[float]) -> Interval | None:
    return t_interval([one - other for one, other in zip(first, second, strict=True)])


def _counted(
    what: str, kind: ScoreKind, sequences: int, pairs: list[tuple[Interval | None, Interval | None]], truth: float
) -> tuple[CountedShare, Width]:
    ours, students = ([interval for interval in side if interval is not None] for side in zip(*pairs, strict=True))
    held = [sum(i.low - 1e-9 <= truth <= i.high + 1e-9 for i in side) for side in (ours, students)]
    wide = [sum(i.high - i.low for i in side) for side in (ours, students)]
    limit = COVERED if sequences >= HELD_FROM else 0.0
    cell = CountedShare(
        what=what, kind=kind.name, sequences=sequences, count=held[0], sets=len(ours), bar=Bar.AT_LEAST, limit=limit
    )
    ratio = wide[0] / wide[1] if wide[1] else float("inf")
    width = Width(what=what, kind=kind.name, sequences=sequences, ratio=ratio, t_covers=held[1] / max(len(students), 1))
    return cell, width
