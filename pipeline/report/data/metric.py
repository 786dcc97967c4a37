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
    share_like_interval,
    standard_error,
    t_interval,
)
from nightjar.pipeline.statistics.strata import stratified_share_interval, stratified_values
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
    part: str | None = None
    """Of one sequence in an average over parts: which of them it belongs to."""

    @property
    def gone(self) -> int:
        """Turns that should have a value and have none."""
        return self.unscored + self.failed + self.missing


class MetricTally:
    """Accumulates one metric of one group, turn by turn."""

    __slots__ = (
        "_cells",
        "_incomplete",
        "_parts",
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
        self._parts: dict[str, str] = {}
        """Sequence -> its part, in an average over parts."""
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

    def as_part(self, name: str, sequence: str, part: str) -> MetricTally:
        """The same of one sequence, for an average that it is a part of."""
        tally = MetricTally(name)
        tally.merge(self)
        tally._parts[sequence] = part
        return tally

    def merge(self, other: MetricTally) -> None:
        """Adds another tally of other turns."""
        self._parts |= other._parts
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
        if self._parts:
            return stratified_values(self.sequence_means(geometric=geometric), self._parts)
        return linear_shares(self.sequence_means(geometric=geometric), self.sequence_weights(), geometric=geometric)

    def repeats(self) -> dict[str, list[float]]:
        """Sequence -> the mean over turns of each of its complete repeats."""
        repeats: dict[str, list[float]] = {}
        for key, (total, count) in self._cells.items():
            if key not in self._incomplete:
                repeats.setdefault(key[0], []).append(total / count)
        return repeats

    def metric(self, scale: Scale | None) -> Metric:
        shares = self.linear_shares(scale)
        means = list(shares.values())
        return Metric(
            name=self.name,
            mean=mean(means),
            n=len(means),
            stderr=standard_error(means),
            interval=self._interval(means, scale) if not self._over_parts else self._over_parts_interval(shares, scale),
            values=self.values,
            worst=self.worst,
            unscored=self.unscored,
            failed=self.failed,
            missing=self.missing,
            reason=None if means else self._why(),
            weight=sum(self.sequence_weights().values()) if self._weights else 1.0,
            part=next(iter(self._parts.values())) if len(self._parts) == 1 else None,
        )

    @property
    def over_parts(self) -> bool:
        """It is an average over parts, of a metric that is there by itself, too."""
        return bool(self._parts)

    @property
    def _over_parts(self) -> bool:
        return len(set(self._parts.values())) > 1

    def _over_parts_interval(self, shares: dict[str, float], scale: Scale | None) -> Interval | None:
        if scale is not None and scale.is_share:
            return stratified_share_interval(shares, self._parts, self.values)
        interval = t_interval(list(shares.values()))
        if interval is None or scale is None:
            return interval
        return interval.within(*scale.limits)

    def _interval(self, means: list[float], scale: Scale | None) -> Interval | None:
        if scale is None:
            return t_interval(means)
        if scale.is_share and self._weights:
            return share_like_interval(means, max(self.values, len(means)) * self._evenness())
        if scale.is_share:
            return share_interval(means, self.values)
        if scale.worst is not None and scale.best is not None:
            return bounded_interval(means, *sorted((scale.worst, scale.best)))
        interval = t_interval(means)
        return interval.within(scale.least, scale.most) if interval else None

    def _evenness(self) -> float:
        """The share of the sequences that would tell as much if they all counted alike (Kish 1965)."""
        weights = list(self.sequence_weights().values())
        return sum(weights) ** 2 / sum(weight * weight for weight in weights) / len(weights)

    def _why(self) -> str:
        if self.reason:
            return f"not scored: {self.reason}"
        return f"not generated: {self.missing_reason}" if self.missing else "nothing to score"
