"""Group-sequential tests: how far out a difference must lie at each of several looks at growing data. Pure.

Looking several times at the usual bound finds differences that are not there. Here each look may use a part of the
error that is allowed in all: the spending function of Lan and DeMets (1983) of O'Brien and Fleming's kind, which leaves
nearly all of it to the end. The bounds follow from the joint distribution of the looks, whose sums grow by independent
normal steps, by recursive numerical integration (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.statistics.power import ALPHA

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOKS = 4
"""At a quarter, a half, three quarters, and all."""
SMALLEST_LOOK = 20
"""With fewer pairs the normal distribution is too far from that of the test."""
FUTILE = 0.1
"""Below this conditional power it is not worth going on."""
FUTILE_FROM = 0.5
"""Futility is asked about from this fraction of the data on. Given up after a quarter, a difference that one test finds
in 83 % is found in 72 %, and in 78 % from a half on (docs/statistics.md)."""
NODES = 160
"""Of the integration over what a look has left undecided; twice as many change no bound in its sixth decimal."""
FARTHEST = 8.5
"""No bound lies further out (p = 2e-17)."""


def wave_sizes(sequences: int) -> tuple[int, ...]:
    """How many sequences each wave adds: to a quarter, a half, three quarters and all of them.

    A look that would have fewer than SMALLEST_LOOK sequences is left out, and its wave is part of the next.
    """
    ends = [-(-sequences * look // LOOKS) for look in range(1, LOOKS)]
    ends = [end for end in dict.fromkeys(ends) if SMALLEST_LOOK <= end < sequences] + [sequences]
    return tuple(end - before for before, end in zip([0, *ends], ends, strict=False))


def spent(fraction: float, alpha: float = ALPHA) -> float:
    """How much of a two-sided error of `alpha` may have been used when this fraction of the data is there.

    Each side spends 2 - 2 Phi(z / sqrt(fraction)), z being the upper quantile of alpha / 4 (Lan and DeMets 1983).
    """
    from scipy.special import ndtr, ndtri

    if fraction >= 1:
        return alpha
    return float(4 * ndtr(ndtri(alpha / 4) / math.sqrt(fraction)))


@lru_cache(maxsize=4096)
def look_bounds(fractions: tuple[float, ...], pairs: tuple[int, ...], alpha: float = ALPHA) -> tuple[float, ...]:
    """The two-sided bounds of |z| at looks that have had these fractions of the data planned, so many pairs of it.

    Both grow from look to look: `fractions` says how much error may be used, `pairs` how the looks are correlated.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import ndtr

    bounds: list[float] = []
    before = 0.0
    points, density = np.zeros(1), np.ones(1)  # of the sum, where no look so far has decided; density times weight
    for at, (fraction, count) in enumerate(zip(fractions, pairs, strict=True)):
        step = math.sqrt(count - (pairs[at - 1] if at else 0))
        wide, allowed = math.sqrt(count), spent(fraction, alpha)

        def over(bound: float) -> float:
            """The chance that this look is the first to cross so far out, less what it may be."""
            crossing = ndtr((points - bound * wide) / step) + ndtr((-points - bound * wide) / step)  # noqa: B023
            return float(density @ crossing) - (allowed - before)  # noqa: B023

        bound = FARTHEST if over(FARTHEST) >= 0 else float(brentq(over, 0.0, FARTHEST, xtol=1e-10))
        bounds.append(bound)
        before = allowed
        points, density = _undecided(points, density, bound * wide, step)
    return tuple(bounds)


def _undecided(
    points: NDArray[Any], density: NDArray[Any], end: float, step: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The sum's density after one more step, between -end and end, at nodes and times their weights."""
    import numpy as np

    nodes, weights = _gauss_legendre(NODES)
    there = nodes * end
    steps = (there[:, None] - points) / step
    return there, (np.exp(-(steps**2) / 2) @ density) * weights * end / (step * math.sqrt(2 * math.pi))


@lru_cache(maxsize=1)
def _gauss_legendre(nodes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    return np.polynomial.legendre.leggauss(nodes)


def z_of(p: float, difference: float) -> float:
    """The normal deviate of a two-sided p, with the sign of the difference."""
    from scipy.special import ndtri

    return math.copysign(float(-ndtri(p / 2)), difference) if difference else 0.0


def confidence_of(bound: float) -> float:
    """Of the repeated confidence interval at a look with this bound (Jennison and Turnbull 1989)."""
    from scipy.special import ndtr

    return float(1 - 2 * ndtr(-bound))


def conditional_power(z: float, fraction: float, last_bound: float) -> float:
    """The chance that the last look crosses its bound if the truth is what was seen so far (Lan and Wittes 1988)."""
    from scipy.special import ndtr

    if fraction >= 1:
        return float(abs(z) >= last_bound)
    expected, left = z / math.sqrt(fraction), math.sqrt(1 - fraction)
    return float(ndtr((expected - last_bound) / left) + ndtr((-expected - last_bound) / left))
