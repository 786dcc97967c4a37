"""Differences between two series of the same sequences. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.statistics.differences import difference_interval
from nightjar.pipeline.statistics.intervals import CONFIDENCE, SMALLEST_INTERVAL, Interval, mean, standard_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_COMPARISON = 6
"""With fewer sequences no difference can be shown: of the 32 sign patterns of five, two are always as extreme."""
EXACT_SEQUENCES = 16
"""Up to this many differences all sign patterns are tried; beyond, a seeded sample of them."""
SAMPLED_FLIPS = 20_000
KEPT_SIGNS = 256
"""For up to so many differences the drawn signs are kept for the next test (5 MB): drawing costs most of one."""
TIE = 1e-9
"""Differences below this share of the scale are rounding errors of floating point: ties."""
SEED = 20_251_121


@dataclass(frozen=True, kw_only=True)
class Paired:
    """`first` minus `second` over the sequences that both have. A field is None if there is too little data for it."""

    n: int
    difference: float | None
    """Mean of the differences."""
    interval: Interval | None
    """95 %: see `differences`."""
    p_t: float | None
    """Paired t test, two-sided."""
    p_flip: float | None
    """Sign-flip test of the mean, two-sided."""
    p_mcnemar: float | None
    """Exact McNemar test; only if every sequence has a single pass or fail on both sides."""
    effect: float | None
    """Mean difference over the standard deviation of the differences (Cohen's d_z)."""
    wins: int
    ties: int
    losses: int

    @property
    def p(self) -> float | None:
        """The larger p of the t test and the sign-flip test: a verdict needs both."""
        return None if self.p_t is None or self.p_flip is None else max(self.p_t, self.p_flip)


def compare_pairs(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    ends: tuple[float, float] | None = None,
    single_binary: bool = False,
) -> Paired:
    """Compares sequence by sequence.

    `ends`: the smallest and the largest value that the scale allows; None for one without two ends.
    `single_binary`: each value is a single pass (1) or fail (0).
    """
    shared = sorted(first.keys() & second.keys())
    width = ends[1] - ends[0] if ends else _largest(first, second)
    differences = without_dust([first[key] - second[key] for key in shared], width)
    error = standard_error(differences)
    enough = len(differences) >= SMALLEST_INTERVAL and error is not None
    centre = math.fsum(differences) / len(differences) if differences else None
    return Paired(
        n=len(differences),
        difference=centre,
        interval=paired_interval([first[key] for key in shared], [second[key] for key in shared], differences, ends),
        p_t=t_test(differences) if enough else None,
        p_flip=sign_flip_test(differences) if enough else None,
        p_mcnemar=mcnemar(differences) if enough and single_binary else None,
        effect=centre / (error * math.sqrt(len(differences))) if centre is not None and error else None,
        wins=sum(d > 0 for d in differences),
        ties=sum(d == 0 for d in differences),
        losses=sum(d < 0 for d in differences),
    )


def paired_interval(
    first: Sequence[float],
    second: Sequence[float],
    differences: Sequence[float],
    ends: tuple[float, float] | None,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """The interval of the mean of these differences between two series; see `compare_pairs` for `ends`."""
    means = [centre for centre in (mean(first), mean(second)) if centre is not None]
    if ends is None or not means:
        return difference_interval(differences, confidence=confidence)
    least, most = ends
    reach = max(max(most - centre, centre - least) for centre in means)
    interval = difference_interval(differences, reach, confidence)
    return interval.within(least - most, most - least) if interval else None


def without_dust(differences: Sequence[float], width: float) -> list[float]:
    """The differences, ties as exact zeros; `width` is the scale's."""
    return [0.0 if abs(difference) < TIE * width else difference for difference in differences]


def _largest(*series: Mapping[str, float]) -> float:
    return max((abs(value) for values in series for value in values.values()), default=0.0)


def t_test(differences: Sequence[float]) -> float:
    """Two-sided p of Student's paired t test; 1 if every difference is 0, 0 if all are the same other number."""
    from scipy.special import stdtr

    centre = math.fsum(differences) / len(differences)
    error = standard_error(differences) or 0.0
    if error == 0:
        return 1.0 if centre == 0 else 0.0
    return float(2 * stdtr(len(differences) - 1, -abs(centre / error)))


def sign_flip_test(differences: Sequence[float], seed: int = SEED) -> float:
    """Two-sided p of the mean if each difference could just as well have had the other sign.

    Exact up to EXACT_SEQUENCES differences; beyond, SAMPLED_FLIPS random sign patterns plus the observed one (Phipson
    and Smyth 2010), so that p is never 0.
    """
    import numpy as np

    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    if values.size == 0:
        return 1.0
    seen = abs(values.sum()) * (1 - 1e-9)
    if values.size <= EXACT_SEQUENCES:
        patterns = (np.arange(2**values.size)[:, None] >> np.arange(values.size)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ values) >= seen))
    signs = (_kept_signs if values.size <= KEPT_SIGNS else _signs)(values.size, seed)
    extreme = int(np.count_nonzero(np.abs(signs.astype(float) @ values) >= seen))
    return (extreme + 1) / (SAMPLED_FLIPS + 1)


def _signs(count: int, seed: int) -> NDArray[Any]:
    """SAMPLED_FLIPS rows of -1 and 1."""
    import numpy as np

    drawn = np.random.default_rng(seed).integers(0, 2, size=(SAMPLED_FLIPS, count), dtype=np.int8)
    return 2 * drawn - 1


_kept_signs = lru_cache(maxsize=8)(_signs)


def mcnemar(differences: Sequence[float]) -> float:
    """Two-sided exact McNemar test: of the pairs that differ, equally many should go each way."""
    from scipy.special import bdtr

    up, down = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return min(1.0, float(2 * bdtr(min(up, down), up + down, 0.5))) if up + down else 1.0


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's adjusted p-values (Holm 1979); None stays None and is not counted."""
    there = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    largest = 0.0
    for rank, (p, name) in enumerate(there):
        largest = max(largest, min(1.0, p * (len(there) - rank)))
        adjusted[name] = largest
    return adjusted
