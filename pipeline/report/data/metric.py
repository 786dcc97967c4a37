"""A metric: the scores of many turns reduced to one number, with its uncertainty and what is missing. Pure.

The unit of analysis is the sequence: turns are reduced first, then repeats, and only then sequences are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.pipeline.scores import Scale, Score, ScoreState
from nightjar.pipeline.statistics.intervals import (
    Interval,
    bounded_interval,
    mean,
    share_interval,
    standard_error,
    t_interval,
)
from nightjar.pipeline.statistics.weighted import linear_shares, weighted_mean


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`mean` is over sequences; None if no sequence has a value, and then `reason` says why."""

    name: str
    mean: float | None
    n: int
    """Sequences with a value."""
    stderr: float | None
    """Standard error of the mean over sequences; None with fewer than two sequences."""
    interval: Interval | None
    """95 % interval of the mean over sequences; None with fewer than five sequences."""
    values: int
    """Turns with a value."""
    worst: int
    """Of those, model failures, which count as the scale's worst value."""
    unscored: int
    failed: int
    """Turns whose scorer raised."""
    missing: int
    """Turns that were never generated."""
    reason: str | None = None
    weight: float = 1.0
    """How much its values count together: of a text its words, bytes or tokens; otherwise 1."""

    @property
    def gone(self) -> int:
        """Turns that should have a value and have none."""
        return self.unscored + self.failed + self.missing


class MetricTally:
    """Accumulates one metric of one group, turn by turn."""

    __slots__ = (
        "_cells",
        "_incomplete",
        "_weights",
        "failed",
        "missing",
        "missing_reason",
        "name",
        "reason",
        "unscored",
        "values",
        "worst",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self._cells: dict[tuple[str, int], list[float]] = {}
        self._incomplete: set[tuple[str, int]] = set()
        self._weights: dict[tuple[str, int], list[tuple[float, float]]] = {}
        """(value, weight) of the cells whose scores have one."""
        self.values = self.worst = self.unscored = self.failed = self.missing = 0
        self.reason: str | None = None
        self.missing_reason: str | None = None

    def add(self, key: tuple[str, int], score: Score) -> None:
        """Adds the score of a turn; `key` is (sequence, repeat)."""
        if score.value is None:
            if score.state is ScoreState.FAILED:
                self.failed += 1
            else:
                self.unscored += 1
            self.reason = self.reason or score.reason
            self._incomplete.add(key)
            return
        self.values += 1
        self.worst += score.state is ScoreState.WORST
        if score.weight is not None:
            self._weights.setdefault(key, []).append((score.value, score.weight))
        cell = self._cells.get(key)
        if cell is None:
            self._cells[key] = [score.value, 1]
        else:
            cell[0] += score.value
            cell[1] += 1

    def merge(self, other: MetricTally) -> None:
        """Adds another tally of other turns."""
        self.values += other.values
        self.worst += other.worst
        self.unscored += other.unscored
        self.failed += other.failed
        self.missing += other.missing
        self.reason = self.reason or other.reason
        self.missing_reason = self.missing_reason or other.missing_reason
        self._incomplete |= other._incomplete
        for key, weighted in other._weights.items():
            self._weights.setdefault(key, []).extend(weighted)
        for key, (total, count) in other._cells.items():
            cell = self._cells.get(key)
            if cell is None:
                self._cells[key] = [total, count]
            else:
                cell[0] += total
                cell[1] += count

    def miss(self, key: tuple[str, int], reason: str) -> None:
        """Counts a turn that was not generated."""
        self.missing += 1
        self._incomplete.add(key)
        self.missing_reason = self.missing_reason or reason

    def sequence_means(self, *, geometric: bool = False) -> dict[str, float]:
        """One value per sequence: the mean over repeats of the mean over turns, by their weights where they have any.

        `geometric`: of the values' logarithms, raised again.
        """
        repeats: dict[str, list[float]] = {}
        for key, (total, count) in self._cells.items():
            value = total / count
            if (weighted := self._weights.get(key)) is not None:
                values, weights = zip(*weighted, strict=True)
                value = weighted_mean(list(values), list(weights), geometric=geometric)
            repeats.setdefault(key[0], []).append(value)
        return {sequence: sum(means) / len(means) for sequence, means in repeats.items()}

    def sequence_weights(self) -> dict[str, float]:
        """How much each sequence's value counts: the weights of its turns together, the same in every repeat."""
        return {
            key[0]: sum(weight for _, weight in self._weights[key]) if key in self._weights else 1.0
            for key in self._cells
        }

    def linear_shares(self, scale: Scale | None) -> dict[str, float]:
        """One value per sequence whose plain mean is the metric's; see `statistics.weighted`."""
        geometric = scale is not None and scale.geometric
        return linear_shares(self.sequence_means(geometric=geometric), self.sequence_weights(), geometric=geometric)

    def repeats(self) -> dict[str, list[float]]:
        """Sequence -> the mean over turns of each of its complete repeats."""
        repeats: dict[str, list[float]] = {}
        for key, (total, count) in self._cells.items():
            if key not in self._incomplete:
                repeats.setdefault(key[0], []).append(total / count)
        return repeats

    def metric(self, scale: Scale | None) -> Metric:
        means = list(self.linear_shares(scale).values())
        return Metric(
            name=self.name,
            mean=mean(means),
            n=len(means),
            stderr=standard_error(means),
            interval=self._interval(means, scale),
            values=self.values,
            worst=self.worst,
            unscored=self.unscored,
            failed=self.failed,
            missing=self.missing,
            reason=None if means else self._why(),
            weight=sum(self.sequence_weights().values()) if self._weights else 1.0,
        )

    def _interval(self, means: list[float], scale: Scale | None) -> Interval | None:
        if scale is None:
            return t_interval(means)
        if scale.is_share:
            return share_interval(means, self.values)
        if scale.worst is not None and scale.best is not None:
            return bounded_interval(means, *sorted((scale.worst, scale.best)))
        interval = t_interval(means)
        return interval.within(scale.least, scale.most) if interval else None

    def _why(self) -> str:
        if self.reason:
            return f"not scored: {self.reason}"
        return f"not generated: {self.missing_reason}" if self.missing else "nothing to score"
