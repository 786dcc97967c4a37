"""Reducers: the repeats of one sequence as a single number. Pure.

Repeats are never paired by their index across models: each sequence's repeats become one number first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the middle two. At least one value is needed."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def pass_at(passed: int, repeats: int, k: int) -> float | None:
    """Chance that at least one of k repeats passes, given `passed` of `repeats`; None for fewer than k repeats.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. 2021.
    """
    if k > repeats:
        return None
    return 1.0 - math.comb(repeats - passed, k) / math.comb(repeats, k)


def pass_all(passed: int, repeats: int, k: int) -> float | None:
    """Chance that all of k repeats pass (pass^k), given `passed` of `repeats`; None for fewer than k repeats.

    The unbiased estimator C(c, k) / C(n, k) of Yao et al. 2024.
    """
    if k > repeats:
        return None
    return math.comb(passed, k) / math.comb(repeats, k)


def ks(repeats: int) -> tuple[int, ...]:
    """The values of k shown for this many repeats: powers of two, and all of them."""
    return tuple(sorted({2**at for at in range(1, repeats.bit_length())} | {repeats})) if repeats > 1 else ()
