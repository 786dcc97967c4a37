"""The interval of a mean difference between two series of the same sequences. Pure.

Student's t interval of the differences fails where it matters: five sequences that all fell by the same amount give it
no width, and a model that nearly always has the best value hides the rare failure that its few sequences did not show.
This one therefore adds differences that were not seen, one each way, as Bonett and Price (2012) do for pairs of a pass
and a fail; for those it holds the truth as often as theirs and is narrower (docs/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nightjar.pipeline.statistics.intervals import (
    CONFIDENCE,
    SMALLEST_INTERVAL,
    Interval,
    mean,
    standard_error,
    t_quantile,
)
from nightjar.pipeline.statistics.search import smallest_number

UNSEEN = 1.1
"""How far a difference that was not seen may lie, over the square root of how many were; chosen by simulation."""


def difference_interval(
    differences: Sequence[float], reach: float | None = None, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of the mean of these differences, ties being exact zeros.

    `reach`: the longest way from either side's mean to an end of the scale; None for a scale without two ends. One
    difference of R and one of -R are added, and Student's t interval is taken of all with the quantile of those seen. R
    is the root mean square of the differences, or UNSEEN * reach / sqrt(1 + the number of differences that are not 0)
    if that is more; without ends sqrt(2) of the root mean square. The fewer differences were seen, the further away the
    next may lie. None for fewer than SMALLEST_INTERVAL differences.
    """
    n = len(differences)
    if n < SMALLEST_INTERVAL:
        return None
    typical = math.sqrt(math.fsum(d * d for d in differences) / n)
    unseen = math.sqrt(2) * typical
    if reach is not None:
        apart = sum(d != 0 for d in differences)
        unseen = max(typical, UNSEEN * reach / math.sqrt(1 + apart))
    values = [*differences, unseen, -unseen]
    centre, error = mean(values) or 0.0, standard_error(values) or 0.0
    width = t_quantile(confidence, n - 1) * error
    return Interval(low=centre - width, high=centre + width, method="t, adjusted")


def smallest_passing(margin: float, reach: float, most: int = 100_000) -> int | None:
    """From how many sequences on an interval without a single difference lies above `-margin`; None beyond `most`."""

    def keeps(n: int) -> bool:
        interval = difference_interval([0.0] * n, reach)
        return interval is not None and interval.low >= -margin

    return smallest_number(keeps, least=SMALLEST_INTERVAL, most=most)
