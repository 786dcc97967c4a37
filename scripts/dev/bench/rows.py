"""The rows of the benchmark's table: what was measured, beside its goal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from nightjar.pipeline.statistics.paired import mcnemar

LEAST_ROUNDS = 5
"""Medians of fewer rounds are not for the record."""
MOST_TIMES = 3
"""A ratio too close to its goal to decide gets at most this many times the rounds asked for."""
DOUBT = 0.1
"""Rounds decide nothing if, with half of them reaching the goal, ones this one-sided were at least this likely."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a measure is held against: at least `bound`, or at most."""

    bound: float
    at_most: bool = False

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:.2f}"

    def reached(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


DECODE = Goal(bound=0.95)
CHATS_AGAINST_SERIAL = Goal(bound=2.0)
CHATS_AGAINST_SERVER = Goal(bound=1.0)
REPEATS_AGAINST_SERVER = Goal(bound=2.0)
JUDGING_AGAINST_SERVER = Goal(bound=2.0)
VERDICTS_AGAINST_SERVER = Goal(bound=1.0)
SCHEMA_AGAINST_FREE = Goal(bound=0.9)
REAL_VERDICTS_AGAINST_SERVER = Goal(bound=2.5)
COMPUTED = Goal(bound=1.02, at_most=True)
PIPELINE = Goal(bound=0.90)
PIPELINE_LARGE = Goal(bound=0.97)
STALL_MS = Goal(bound=20.0, at_most=True)
SAME_TEXTS = Goal(bound=0.0, at_most=True)
LOAD_S = Goal(bound=5.0, at_most=True)
ALONE = Goal(bound=50.0)
SHORT_REPLY_S = Goal(bound=1.5, at_most=True)
FOLLOWING = Goal(bound=0.90)
FIRST_PIECE_S = Goal(bound=1.0, at_most=True)
FIRST_TURN_S = Goal(bound=3.0, at_most=True)
SCORES_AGAINST_ECHO = Goal(bound=100.0)
SCORES_AGAINST_EVALUTION = Goal(bound=15.0)
SCORES_AGAINST_SERIAL = Goal(bound=1.1)
SCORES_AGAINST_SERIAL_WORDY = Goal(bound=1.3)
PERPLEXITY = Goal(bound=0.95)
FIDELITY_MEMORY_MB = Goal(bound=500.0, at_most=True)
FIDELITY_FILE_MB = Goal(bound=200.0, at_most=True)


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """One line. `value` None: not measured, with the reason in `note`; `goal` None: for information."""

    measure: str
    value: float | None
    goal: Goal | None
    unit: str = ""
    note: str = ""
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What every round gave, by side."""
    interval: tuple[float, float] | None = None
    """95 %, of the value; a goal inside it counts as reached, since the rounds cannot tell it from one."""

    @property
    def reached(self) -> bool | None:
        """None if there is nothing to compare."""
        if self.value is None or self.goal is None:
            return None
        best = self.value if self.interval is None else self.interval[0 if self.goal.at_most else 1]
        return self.goal.reached(best)

    @property
    def remark(self) -> str:
        """Whether the goal was reached, and the note."""
        if self.value is None:
            return f"not measured: {self.note}"
        verdict = {True: "yes", False: "NO", None: "for information"}[self.reached]
        return f"{verdict}; {self.note}" if self.note else verdict

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return "-" if self.value is None else f"{self.value:.2f} {self.unit}".strip()

    def sentence(self) -> str:
        """The line as a sentence, for whoever watches."""
        goal = f" (goal {self.goal})" if self.goal else ""
        return f"{self.measure}: {self.shown}{goal} {self.remark}"


def ratio(measure: str, samples: Mapping[str, Sequence[float]], goal: Goal | None, unit: str = "tokens/s") -> BenchRow:
    """The median of the rounds' ratios, first side over second; samples are in `unit`, one a round.

    A round's sides run one right after the other, so what the machine does to both drops out of their ratio, which it
    does not from a ratio of medians that come from different rounds.
    """
    (_, own), (name, other) = samples.items()
    note = f"{figure(median(own))} against {figure(median(other))} {unit} of {name}, {_counted(len(own))}"
    return BenchRow(measure=measure, value=median(_ratios(samples)), goal=goal, note=note, samples=samples)


def unsettled(samples: Mapping[str, Sequence[float]], goal: Goal, rounds: int) -> bool:
    """Whether a ratio needs another round: fewer than `rounds` were made; or they leave open on which side of its goal
    the median lies, by a two-sided sign test (as McNemar's exact one is), and there are not `MOST_TIMES` as many yet.
    A quick look, with fewer than `LEAST_ROUNDS`, is not extended, nor is a single side."""
    done = len(next(iter(samples.values())))
    if done < rounds:
        return True
    if rounds < LEAST_ROUNDS or done >= MOST_TIMES * rounds or len(samples) < 2:
        return False
    return mcnemar([1 if goal.reached(value) else -1 for value in _ratios(samples)]) >= DOUBT


def _ratios(samples: Mapping[str, Sequence[float]]) -> list[float]:
    own, other = samples.values()
    return [ours / theirs for ours, theirs in zip(own, other, strict=True)]


def _counted(rounds: int) -> str:
    return f"{rounds} round{'s' if rounds != 1 else ''}"


def figure(value: float) -> str:
    """With as many digits as are meaningful."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def not_measured(
    measure: str, goal: Goal, reason: str, samples: Mapping[str, Sequence[float]] | None = None
) -> BenchRow:
    """A line that says why it has no value: it never counts as reached."""
    return BenchRow(measure=measure, value=None, goal=goal, note=reason, samples=samples or {})


def highest(measure: str, values: Sequence[float], goal: Goal) -> BenchRow:
    """The worst of all rounds."""
    return BenchRow(
        measure=measure, value=max(values), goal=goal, note="highest of all rounds", samples={"ratio": values}
    )


def ratio_of_medians(measure: str, samples: Mapping[str, Sequence[float]], goal: Goal, note: str) -> BenchRow:
    """The median of the first side over the best of the other sides' medians, with its bootstrap interval: rounds are
    drawn whole, since a round's sides ran one after the other."""
    own, *others = (np.asarray(values) for values in samples.values())

    def of(*sides: npt.NDArray[np.float64], axis: int = -1) -> Any:
        medians = [np.median(side, axis=axis) for side in sides]
        return medians[0] / np.max(medians[1:], axis=0)

    interval = None
    if len(own) > 1:
        rng = np.random.default_rng(7)
        drawn = bootstrap((own, *others), of, paired=True, vectorized=True, method="percentile", rng=rng)
        interval = float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
    between = "" if interval is None else f"95 % interval {interval[0]:.2f} to {interval[1]:.2f}; "
    sides = ", ".join(f"{name} {figure(median(values))}" for name, values in samples.items())
    text = f"{between}tokens/s: {sides}; {_counted(len(own))}; {note}"
    value = float(of(own, *others))
    return BenchRow(measure=measure, value=value, goal=goal, note=text, samples=samples, interval=interval)


def latest(measure: str, values: Sequence[float], goal: Goal | None, note: str) -> BenchRow:
    """The 95th percentile of some seconds."""
    return BenchRow(
        measure=f"{measure}, p95 of {len(values)}",
        value=nth_percentile(values, 95),
        goal=goal,
        unit="s",
        note=f"median {median(values):.2f} s{'; ' if note else ''}{note}",
        samples={"s": values},
    )


def median_of(measure: str, values: Sequence[float], goal: Goal | None, unit: str, note: str) -> BenchRow:
    """The median of all rounds; `goal` None: for information."""
    return BenchRow(measure=measure, value=median(values), goal=goal, unit=unit, note=note, samples={unit: values})


def stalls(measure: str, rounds_s: Sequence[Sequence[float]], goal: Goal) -> BenchRow:
    """The 99th percentile of how late the event loop was, over all rounds' looks. `goal` is in ms."""
    late_ms = [1000 * late for looks in rounds_s for late in looks]
    samples = {
        "p99_ms": [percentile_99([1000 * late for late in looks]) for looks in rounds_s if looks],
        "longest_ms": [1000 * max(looks) for looks in rounds_s if looks],
    }
    note = f"of {len(late_ms)} looks, the longest {max(late_ms):.1f} ms"
    return BenchRow(measure=measure, value=percentile_99(late_ms), goal=goal, unit="ms", note=note, samples=samples)


def percentile_99(values: Sequence[float]) -> float:
    """Interpolated between values, never beyond the highest one."""
    return nth_percentile(values, 99)


def nth_percentile(values: Sequence[float], percent: int) -> float:
    """The same of any per cent, 1 to 99."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def rows_table(rows: Sequence[BenchRow], rounds: int) -> str:
    """Markdown, with a line on how much it is worth."""
    lines = ["| measure | reached | goal | |", "|---|---|---|---|"]
    lines += [f"| {row.measure} | {row.shown} | {row.goal or '-'} | {row.remark} |" for row in rows]
    compared = [row for row in rows if row.reached is not None]
    missing = sum(row.value is None for row in rows)
    summary = f"{sum(row.reached is True for row in compared)} of {len(compared)} measured goals reached"
    lines += ["", f"{summary}{f'; {missing} not measured' if missing else ''}. {standing(rounds)}"]
    return "\n".join(lines)


def standing(rounds: int) -> str:
    """What figures from this many rounds are worth."""
    if rounds >= LEAST_ROUNDS:
        return f"Medians of {rounds} rounds, of up to {MOST_TIMES * rounds} where those leave a ratio's goal open."
    return f"{_counted(rounds)}: not for the record, which takes medians of {LEAST_ROUNDS}."


def as_json(row: BenchRow) -> dict[str, Any]:
    """With the medians of every side and whether the goal was reached; None if there is nothing to compare."""
    medians = {side: median(values) for side, values in row.samples.items() if values}
    return asdict(row) | {"medians": medians, "reached": row.reached}
