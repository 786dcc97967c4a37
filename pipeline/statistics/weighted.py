"""Means of values that count for different amounts: perplexities of texts by their words, bits by their bytes. Pure.

The mean is the weighted one; with `geometric` that of the logarithms, raised again. So that intervals, ranks and tests
on plain means hold for it, each value is replaced by its linear share of the result, as the delta method does for a
ratio of sums (Cochran 1977, section 6): the replaced values have the weighted mean for their plain mean, and their
spread is that of the ratio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping


def linear_shares(
    values: Mapping[str, float], weights: Mapping[str, float], *, geometric: bool = False
) -> dict[str, float]:
    """Key -> u with mean(u) = M, the weighted mean of the values.

    Arithmetic: u = M + w / mean(w) * (v - M). Geometric: M = exp(m), m the weighted mean of log v, and
    u = M * (1 + w / mean(w) * (log v - m)); the values must be positive. Equal weights leave an arithmetic mean's
    values as they are.
    """
    if not values or (not geometric and len({weights[key] for key in values}) == 1):
        return dict(values)
    total = math.fsum(weights[key] for key in values)
    each = {key: math.log(value) if geometric else value for key, value in values.items()}
    centre = math.fsum(weights[key] * value for key, value in each.items()) / total
    relative = {key: weights[key] * len(values) / total for key in values}
    if not geometric:
        return {key: centre + relative[key] * (value - centre) for key, value in each.items()}
    top = math.exp(centre)
    return {key: top * (1 + relative[key] * (value - centre)) for key, value in each.items()}


def weighted_mean(values: list[float], weights: list[float], *, geometric: bool = False) -> float:
    """The mean of values by their weights; `geometric`: of their logarithms, raised again. Of at least one value."""
    each = [math.log(value) for value in values] if geometric else values
    centre = math.fsum(w * v for w, v in zip(weights, each, strict=True)) / math.fsum(weights)
    return math.exp(centre) if geometric else centre
