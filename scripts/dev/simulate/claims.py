"""How often a claim is false: verdicts with missing replies, headlines of several models, gates, checks of judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from nightjar.jobs.ending import GateOutcome
from nightjar.pipeline.compare.gates import regressed
from nightjar.pipeline.judging.checkup import Ability, Reading, checkup
from nightjar.pipeline.judging.spoilt import Control
from nightjar.pipeline.report.data.compared import PairDifference, compare_series, verdicts_on_pairs
from nightjar.pipeline.report.data.series import Series
from nightjar.pipeline.scores import SHARE
from nightjar.scripts.dev.simulate.cells import Bar, CountedShare
from nightjar.scripts.dev.simulate.draws import SEED, TURNS, levels

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SIZES = (7, 12, 20, 30, 80)
FALSE = 0.05
"""No claim may be false more often."""
MARGIN = 0.05
REGRESSION = 0.1
HEADLINES = (12, 20, 30)
GATES = (5, *SIZES)
JUDGES = (5, 7, 12, 20, 30)
SPREAD = 1.0
"""Standard deviation of the difference between a real reply's points and a spoilt one's."""


def missing_cells(sets: int, sizes: Sequence[int] = SIZES) -> Iterator[CountedShare]:
    """Two equal models, the second's worst sequences the likeliest to be missing: what is left of it looks better."""
    import numpy as np

    for lost in (0.03, 0.10):
        for sequences in sizes:
            source = np.random.default_rng([SEED, 1, sequences, int(lost * 100)])
            false = 0
            for values in _shares(source, sets, sequences, (0.7, 0.7)):
                gone = _worst(source, values[1], lost)
                pair = {("b", "a"): compare_series(_series("b", values[1], gone), _series("a", values[0]))}
                false += verdicts_on_pairs(pair)[0].verdict is not PairDifference.CANNOT_TELL
            yield _false(f"verdict, {lost:.0%} missing, the worst first", "equal models", sequences, false, sets)


def headline_cells(headlines: int, sizes: Sequence[int] = HEADLINES) -> Iterator[CountedShare]:
    """Headlines of which at least one claim is of a gap that is not there."""
    import numpy as np

    for means in ((0.7, 0.7, 0.7), (0.8, 0.65, 0.65), (0.7, 0.7, 0.7, 0.7), (0.85, 0.7, 0.7, 0.55)):
        for sequences in sizes:
            source = np.random.default_rng([SEED, 2, sequences, len(means), int(means[0] * 100)])
            false = 0
            for values in _shares(source, headlines, sequences, means):
                series = [_series(str(at), row) for at, row in enumerate(values)]
                compared = {(a.model, b.model): compare_series(a, b) for a, b in combinations(series, 2)}
                false += any(_wrong(pair.verdict, *pair_means) for pair, pair_means in _with_means(compared, means))
            kind = " and ".join(f"{mean:.0%}" for mean in means)
            yield _false(f"headline of {len(means)} models", kind, sequences, false, headlines)


def gate_cells(sets: int, sizes: Sequence[int] = GATES) -> Iterator[CountedShare]:
    """Gates at their margin, and one of 5 points on a true regression of 10."""
    import numpy as np

    for base in (0.6, 0.9, 0.97):
        for sequences in sizes:
            source = np.random.default_rng([SEED, 3, sequences, int(base * 100)])
            at_margin = _outcomes(_shares(source, sets, sequences, (base, base - MARGIN)))
            below = _outcomes(_shares(source, sets, sequences, (base, base - REGRESSION)))
            kind = f"from {base:.0%}"
            yield _false("gate passes at its margin", kind, sequences, at_margin.count(GateOutcome.PASSED), sets)
            yield _false("gate trips at its margin", kind, sequences, at_margin.count(GateOutcome.TRIPPED), sets)
            yield _false("gate of 5 passes 10 points", kind, sequences, below.count(GateOutcome.PASSED), sets)


def judge_cells(sets: int, sizes: Sequence[int] = JUDGES) -> Iterator[CountedShare]:
    """A judge that tells real replies by one standard deviation is never called unable, a blind one never able."""
    import numpy as np

    for sequences in sizes:
        source = np.random.default_rng([SEED, 4, sequences])
        for what, gap, wrong in (
            ("able judge is called unable", SPREAD, Ability.CANNOT),
            ("blind judge is called able", 0.0, Ability.TELLS),
        ):
            false = sum(_checked(source, sequences, gap) is wrong for _ in range(sets))
            yield _false(what, "points from 1 to 5", sequences, false, sets)


def _false(what: str, kind: str, sequences: int, count: int, sets: int) -> CountedShare:
    return CountedShare(what=what, kind=kind, sequences=sequences, count=count, sets=sets, bar=Bar.AT_MOST, limit=FALSE)


def _shares(source: Generator, sets: int, sequences: int, means: Sequence[float]) -> Iterator[NDArray[Any]]:
    """Sets of the models' shares of six turns, (models, sequences); half of the difficulty is the sequence's own."""
    import numpy as np
    from scipy.special import betaincinv

    level = levels(source, sets, sequences, len(means))
    chances = np.stack([betaincinv(mean, 1 - mean, row) for mean, row in zip(means, level, strict=True)])
    values = source.binomial(TURNS, np.clip(chances, 0, 1)) / TURNS
    return iter(values.swapaxes(0, 1))


def _worst(source: Generator, values: NDArray[Any], lost: float) -> set[str]:
    """The sequences that are missing: of so many as the share, those that do worst with some chance in it."""
    import numpy as np

    count = int(source.binomial(len(values), lost))
    order = np.argsort(values + source.random(len(values)) * 0.2)
    return {str(at) for at in order[:count]}


def _series(model: str, values: NDArray[Any], gone: set[str] = frozenset()) -> Series:  # type: ignore[assignment]
    by_sequence = {str(at): float(value) for at, value in enumerate(values)}
    there = {key: value for key, value in by_sequence.items() if key not in gone}
    return Series(
        model=model,
        metric="checks",
        scale=SHARE,
        values=there,
        expected=frozenset(by_sequence),
        complete=frozenset(there),
        missing_share=len(gone) / len(by_sequence),
        to_worst=None,
        to_best=None,
        lowest={key: there.get(key, 0.0) for key in by_sequence},
        highest={key: there.get(key, 1.0) for key in by_sequence},
    )


def _with_means(compared: Any, means: Sequence[float]) -> Iterator[tuple[Any, tuple[float, float]]]:
    for pair in verdicts_on_pairs(compared):
        yield pair, (means[int(pair.first)], means[int(pair.second)])


def _wrong(verdict: PairDifference, first: float, second: float) -> bool:
    if verdict is PairDifference.BETTER:
        return first <= second
    return verdict is PairDifference.WORSE and first >= second


def _outcomes(sets: Iterator[NDArray[Any]]) -> list[GateOutcome]:
    outcomes = []
    for base, other in sets:
        compared = compare_series(_series("b", other), _series("a", base))
        (pair,) = verdicts_on_pairs({("b", "a"): compared})
        outcomes.append(regressed(pair, compared, MARGIN))
    return outcomes


def _checked(source: Generator, sequences: int, gap: float) -> Ability:
    """One check of a judge whose points differ by `gap` on average, before they are rounded to the scale."""
    import numpy as np

    readings = []
    for control in Control:
        real = source.normal(3 + gap / 2, SPREAD / 2**0.5, sequences)
        spoilt = source.normal(3 - gap / 2, SPREAD / 2**0.5, sequences)
        rounded = np.clip(np.rint([real, spoilt]), 1, 5)
        readings += [
            Reading(judge="judge", control=control, sequence=str(at), real=float(one), spoilt=float(other))
            for at, (one, other) in enumerate(rounded.T)
        ]
    return checkup("judge", "digest", readings, smallest=0.4).ability
