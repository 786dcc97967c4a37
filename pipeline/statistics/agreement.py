"""Agreement of several judges: Krippendorff's alpha. Pure.

Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). The package `krippendorff` computes the same and is
under the GPL, which Nightjar's licence does not allow as a dependency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Level(StrEnum):
    """What may be said about two different values."""

    NOMINAL = "nominal"
    """That they are different."""
    ORDINAL = "ordinal"
    """That one is more."""
    INTERVAL = "interval"
    """How much more."""


def krippendorff_alpha(units: Iterable[Sequence[float]], level: Level) -> float | None:
    """Alpha: 1 is perfect agreement, 0 what chance would do, below 0 worse than chance.

    `units`: for each judged text, the values that the judges gave; units with fewer than two are ignored. None if no
    two values can be compared, or if all values are the same: then there is nothing to agree about.
    """
    import numpy as np

    pairable = [list(unit) for unit in units if len(unit) > 1]
    values = sorted({value for unit in pairable for value in unit})
    if len(values) < 2:
        return None
    at = {value: number for number, value in enumerate(values)}
    together = np.zeros((len(values), len(values)))
    for unit in pairable:
        counts = np.bincount([at[value] for value in unit], minlength=len(values))
        together += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    totals = together.sum(axis=1)
    apart = _apart(np.asarray(values, dtype=float), totals, level)
    expected = (np.outer(totals, totals) * apart).sum() / (totals.sum() - 1)
    return float(1 - (together * apart).sum() / expected)


def _apart(values: NDArray[Any], totals: NDArray[Any], level: Level) -> NDArray[Any]:
    """Squared distance of every two values."""
    import numpy as np

    if level is Level.NOMINAL:
        return 1 - np.eye(len(values))
    if level is Level.INTERVAL:
        return np.asarray((values[:, None] - values[None, :]) ** 2)
    upto = np.cumsum(totals)
    low, high = (
        np.minimum.outer(range(len(values)), range(len(values))),
        np.maximum.outer(range(len(values)), range(len(values))),
    )
    between = upto[high] - upto[low] + totals[low]  # count of all values from one to the other, inclusive
    return np.asarray((between - (totals[low] + totals[high]) / 2) ** 2)
