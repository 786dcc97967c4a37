"""What a report says of a run that stops when it is decided: what its looks found, and what was left out. Pure.

Its pairs were looked at several times, so their verdicts are those of the looks and their intervals repeated ones; the
tests of a run that asks everything at once would find differences that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nightjar.jobs.waves import Look, PairLook, PairState, Waves
from nightjar.pipeline.report.data.compared import Pair, PairDifference
from nightjar.pipeline.statistics.intervals import Interval

VERDICTS = {PairState.BETTER: PairDifference.BETTER, PairState.WORSE: PairDifference.WORSE}


@dataclass(frozen=True, kw_only=True)
class WavesReport:
    """How far a run went with its waves."""

    metric: str
    """The one that decides."""
    margin: float | None
    sequences: int
    """Of all waves."""
    asked: int
    left_out: int
    """Not asked, since all was decided; 0 while that may change."""
    waves: int
    """How many there are."""
    over: bool
    looks: tuple[Look, ...]

    @property
    def last(self) -> Look | None:
        return self.looks[-1] if self.looks else None


def waves_report(waves: Waves) -> WavesReport:
    """The same, for a report."""
    return WavesReport(
        metric=waves.plan.metric,
        margin=waves.plan.margin,
        sequences=len(waves.plan.numbers),
        asked=waves.asked,
        left_out=waves.left_out,
        waves=waves.plan.count,
        over=waves.over,
        looks=tuple(waves.looks),
    )


def as_looked_at(pairs: Sequence[Pair], waves: WavesReport) -> tuple[Pair, ...]:
    """The pairs with the verdicts and the repeated intervals of the last look; before the first nobody can tell."""
    return tuple(_as_looked_at(pair, waves.last) for pair in pairs)


def _as_looked_at(pair: Pair, last: Look | None) -> Pair:
    found = last.of(pair.first, pair.second) if last is not None else None
    interval = None
    if found is not None and found.low is not None and found.high is not None:
        interval = Interval(low=found.low, high=found.high, method="repeated")
    state = found.state if found is not None else PairState.UNDECIDED
    return replace(
        pair,
        paired=replace(pair.paired, interval=interval),
        p_adjusted=None,
        verdict=VERDICTS.get(state, PairDifference.CANNOT_TELL),
        detectable=None,
        needed=None,
        turned=False,
    )


def pair_found(waves: WavesReport, pair: Pair) -> PairLook | None:
    """What the last look found of a pair; None before the first look."""
    return waves.last.of(pair.first, pair.second) if waves.last is not None else None
