"""Two series of the same sequences compared, so that what is missing cannot pass for a difference. Pure.

Only sequences that are complete on both sides are paired. Where others are not, a difference counts only if the same
test finds it also over all sequences, with what is missing at its worst for one side and at its best for the other,
and the reverse: then whatever the missing replies had been, it would be there.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from nightjar.pipeline.report.data.series import Series
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL
from nightjar.pipeline.statistics.paired import Paired, compare_pairs, holm
from nightjar.pipeline.statistics.power import ALPHA, detectable_difference, sequences_needed

Key = TypeVar("Key", bound=Hashable)


class PairDifference(StrEnum):
    """What can be said of the first model of a pair: better, worse, or no significant difference."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "can't tell"


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What is missing from a pair of series, and what it could change."""

    sequences: int
    """Sequences left out of the pairs: they are incomplete on one side at least."""
    lowest: Paired | None
    """All sequences, the first's missing values at their worst and the second's at their best; None where the scale has
    no two ends."""
    highest: Paired | None
    """The reverse."""
    alike: bool
    """Both sides miss the same sequences."""


@dataclass(frozen=True, kw_only=True)
class ComparedSeries:
    """First minus second, in values of which more is better."""

    paired: Paired
    """Over the sequences complete on both sides."""
    differences: tuple[float, ...]
    """Of the same sequences."""
    missing: Missing | None
    """None where all sequences are complete."""

    @property
    def tests(self) -> tuple[Paired, ...]:
        """The comparisons that must agree."""
        if self.missing is None or self.missing.lowest is None or self.missing.highest is None:
            return (self.paired,)
        return self.paired, self.missing.lowest, self.missing.highest


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`first` compared with `second`, in values of which more is better."""

    first: str
    second: str
    paired: Paired
    p_adjusted: float | None
    """Adjusted over all pairs (Holm)."""
    verdict: PairDifference
    detectable: float | None
    """The smallest difference that as many sequences find with power 0.8."""
    needed: int | None
    """How many sequences would confirm the difference seen; None if the verdict is clear or no number would do."""
    missing: Missing | None = None
    turned: bool = False
    """What is complete shows a difference, and what is missing could turn it."""


def compare_series(first: Series, second: Series, keys: Collection[str] | None = None) -> ComparedSeries:
    """Compares sequence by sequence, only those named if `keys` is given."""
    shared = sorted(key for key in first.expected & second.expected if keys is None or key in keys)
    complete = [key for key in shared if key in first.complete and key in second.complete]
    ends, single_binary = first.ends, first.single_binary and second.single_binary
    one, two = first.better(), second.better()
    pairs = {key: one[key] for key in complete}, {key: two[key] for key in complete}
    missing = None
    if len(complete) < len(shared):
        missing = Missing(
            sequences=len(shared) - len(complete),
            lowest=_filled(first.lowest, second.highest, shared, ends, single_binary=single_binary),
            highest=_filled(first.highest, second.lowest, shared, ends, single_binary=single_binary),
            alike={key for key in shared if key in first.complete} == {key for key in shared if key in second.complete},
        )
    return ComparedSeries(
        paired=compare_pairs(*pairs, ends=ends, single_binary=single_binary),
        differences=tuple(pairs[0][key] - pairs[1][key] for key in complete),
        missing=missing,
    )


def _filled(
    first: Mapping[str, float] | None,
    second: Mapping[str, float] | None,
    keys: Sequence[str],
    ends: tuple[float, float] | None,
    *,
    single_binary: bool,
) -> Paired | None:
    if first is None or second is None:
        return None
    pairs = {key: first[key] for key in keys}, {key: second[key] for key in keys}
    return compare_pairs(*pairs, ends=ends, single_binary=single_binary)


def verdicts_on_pairs(compared: Mapping[tuple[str, str], ComparedSeries]) -> tuple[Pair, ...]:
    """Verdicts on pairs by name, p-values adjusted over them (Holm)."""
    adjusted = adjusted_tests(compared)
    return tuple(judged(*names, series, adjusted[names], len(compared)) for names, series in compared.items())


def adjusted_tests(compared: Mapping[Key, ComparedSeries]) -> dict[Key, tuple[float | None, ...]]:
    """The p-values of each one's `tests`, each kind of test adjusted over all (Holm)."""
    names = list(compared)
    kinds = []
    for kind in range(3):
        tests = {str(at): _test(compared[name], kind).p for at, name in enumerate(names)}
        kinds.append(holm(tests))
    return {
        name: tuple(kinds[kind][str(at)] for kind in range(len(compared[name].tests))) for at, name in enumerate(names)
    }


def _test(compared: ComparedSeries, kind: int) -> Paired:
    """The test of that kind; where nothing is missing all are the same."""
    tests = compared.tests
    return tests[kind] if kind < len(tests) else tests[0]


def judged(
    first: str, second: str, compared: ComparedSeries, adjusted: Sequence[float | None], family: int = 1
) -> Pair:
    """The verdict from the adjusted p-values of `compared.tests`; where it is unclear, how many sequences would do.

    `family`: how many comparisons the p-values were adjusted over. What a number of sequences can show is said for the
    strictest of them, whose p-value counts that many times.
    """
    p, differences, missing = adjusted[0], compared.differences, compared.missing
    seen = verdict_of(compared.paired, p)
    verdicts = {verdict_of(test, value) for test, value in zip(compared.tests, adjusted, strict=True)}
    boundless = missing is not None and missing.lowest is None and not missing.alike
    turned = seen is not PairDifference.CANNOT_TELL and (boundless or verdicts != {seen})
    enough = len(differences) >= SMALLEST_INTERVAL
    alpha = ALPHA / max(family, 1)
    return Pair(
        first=first,
        second=second,
        paired=compared.paired,
        p_adjusted=p,
        verdict=PairDifference.CANNOT_TELL if turned else seen,
        detectable=detectable_difference(differences, alpha=alpha) if enough else None,
        needed=sequences_needed(differences, alpha=alpha) if enough and seen is PairDifference.CANNOT_TELL else None,
        missing=missing,
        turned=turned,
    )


def verdict_of(paired: Paired, p: float | None) -> PairDifference:
    """The verdict that an adjusted p-value and the interval of the difference support together."""
    if p is None or p >= ALPHA or paired.interval is None:
        return PairDifference.CANNOT_TELL
    if paired.interval.low > 0:
        return PairDifference.BETTER
    return PairDifference.WORSE if paired.interval.high < 0 else PairDifference.CANNOT_TELL
