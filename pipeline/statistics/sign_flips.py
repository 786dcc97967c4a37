"""The sign-flip test out to its far tail, where bounds of sequential tests lie and drawn patterns are too few. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 64
"""Differences that are no multiples of a common step are rounded to this fraction of the largest."""
MOST_STEPS = 128
SMALLEST_P = 1e-15
"""What floating point leaves of a smaller one."""


def flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the sum if each difference could just as well have had the other sign, over all sign patterns.

    The distribution of the sum is computed exactly, by inverting its characteristic function: the product of the
    cosines of whole-numbered differences (as Pagano and Tritchler 1983 do). Differences are whole numbers of a common
    step where they have one of at most 1/MOST_STEPS of the largest (shares of few turns, points, passes), and are
    rounded to 1/STEPS of it else; the test of rounded differences is as exact. 1 without a difference; never below
    SMALLEST_P.
    """
    import numpy as np

    values = np.asarray(differences, dtype=float)
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0:
        return 1.0
    shares = values / largest
    whole = np.rint(shares * _steps(shares)).astype(int)
    sizes, counts = np.unique(np.abs(whole[whole != 0]), return_counts=True)
    reach = int(sizes @ counts)
    length = 1 << (2 * reach).bit_length()  # more than 2 * reach + 1 sums, so that none is taken for another
    angles = 2 * np.pi / length * np.arange(length // 2 + 1)
    transform = np.ones_like(angles)
    for size, count in zip(sizes, counts, strict=True):
        transform *= np.cos(angles * size) ** count
    chances = np.fft.irfft(transform, length)  # of the sums 0, 1, ..., reach and, from the end, of -1, -2, ...
    beyond = float(chances[abs(int(whole.sum())) : reach + 1].sum())
    p = 1.0 if whole.sum() == 0 else 2 * beyond
    return min(max(p, SMALLEST_P), 1.0)


def _steps(shares: NDArray[Any]) -> int:
    """How many of the differences' common step make the largest; STEPS where there is none."""
    import numpy as np

    for steps in range(1, MOST_STEPS + 1):
        if np.abs(shares * steps - np.rint(shares * steps)).max() < 1e-6:
            return steps
    return STEPS
