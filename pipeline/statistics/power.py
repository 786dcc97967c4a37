"""What a number of sequences can show. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nightjar.pipeline.statistics.intervals import standard_error
from nightjar.pipeline.statistics.search import smallest_number

ALPHA = 0.05
POWER = 0.8
MOST_SEQUENCES = 1_000_000


def detectable_difference(differences: Sequence[float], *, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The smallest mean difference that a paired t test would find with that power, given these differences' spread.

    None for fewer than three sequences, or without spread.
    """
    error = standard_error(differences)
    if len(differences) < 3 or not error:
        return None
    low, high = 0.0, 1.0
    while power_of(high, len(differences), alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle, len(differences), alpha) < power else (low, middle)
    return high * error * math.sqrt(len(differences))


def sequences_needed(differences: Sequence[float], *, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """How many sequences find a difference as large as this one with that power; None if no number would."""
    error = standard_error(differences)
    centre = math.fsum(differences) / len(differences) if differences else 0.0
    if not error or centre == 0:
        return None
    return sequences_for_all([abs(centre) / (error * math.sqrt(len(differences)))], alpha=alpha, power=power)


def sequences_for_all(effects: Sequence[float], *, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """How many sequences show effects of these sizes (d_z) all at once with that power; None if no number would.

    The chances of missing one of them are added (Boole's inequality), whatever the effects have to do with each other.
    """

    def shown(n: int) -> bool:
        return sum(1 - power_of(effect, n, alpha) for effect in effects) <= 1 - power

    if any(effect <= 0 for effect in effects):
        return None
    return smallest_number(shown, least=3, most=MOST_SEQUENCES)


def power_of(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided one-sample (paired) t test for an effect size of d_z, from the noncentral t."""
    from scipy.special import nctdtr, stdtrit

    freedom = n - 1
    quantile = float(stdtrit(freedom, 1 - alpha / 2))
    away = effect * math.sqrt(n)
    if away > 37:  # the noncentral t's tail is 0 to all digits, and scipy returns nan
        return 1.0
    return float(1 - nctdtr(freedom, away, quantile) + nctdtr(freedom, away, -quantile))
