"""Bradley-Terry strengths from comparisons of models on the same sequences. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL, Interval, share_interval, t_quantile
from nightjar.pipeline.statistics.preference import Shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 100
CLOSE = 1e-10


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Bradley-Terry strength: natural log odds against the average model."""

    model: str
    strength: float
    interval: Interval | None
    """95 %, over sequences; None for fewer than SMALLEST_INTERVAL, and where there is only one end."""
    at_least: float | None = None
    """The lower end, for a model that never lost: how much stronger it is, no comparison says."""
    at_most: float | None = None
    """The upper end, for a model that never won."""


def strengths_of(shares: Shares) -> list[Strength]:
    """Strengths from direct comparisons, over the sequences that all pairs have; strongest first.

    Firth's (1993) penalised likelihood, finite also for a model that always wins, with a sandwich variance clustered by
    sequence (Liang and Zeger 1986), since a sequence's pairs depend on each other, and Student's quantile. The interval
    of two models is half the log odds of the win rate's. Empty if a pair was not compared, or no sequence is common.
    """
    import numpy as np

    models = list(dict.fromkeys(model for pair in shares for model in pair))
    pairs = {(a, b): shares.get((a, b), {}) for a, b in combinations(models, 2)}
    shared = sorted(set.intersection(*(set(points) for points in pairs.values()))) if pairs else []
    if not shared:
        return []
    won = np.array([[points[key] for points in pairs.values()] for key in shared])
    fitted, reach = _fit(won, len(models))
    strengths = []
    for at, model in enumerate(models):
        points = zip(pairs, won.T, strict=True)
        mine = np.array([won_by if model == pair[0] else 1 - won_by for pair, won_by in points if model in pair])
        ends = _two(mine[0].tolist()) if len(models) == 2 else _around(fitted[at], reach[at], len(shared))
        strengths.append(_strength(model, float(fitted[at]), ends, float(mine.sum()), mine.size))
    return sorted(strengths, key=lambda strength: -strength.strength)


def _strength(model: str, strength: float, ends: tuple[float, float] | None, won: float, of: int) -> Strength:
    if ends is None:
        return Strength(model=model, strength=strength, interval=None)
    low, high = ends
    if won == of:
        return Strength(model=model, strength=strength, interval=None, at_least=low)
    if won == 0:
        return Strength(model=model, strength=strength, interval=None, at_most=high)
    return Strength(model=model, strength=strength, interval=Interval(low=low, high=high, method="sandwich"))


def _two(points: Sequence[float]) -> tuple[float, float] | None:
    interval = share_interval(points, len(points))
    return None if interval is None else (_half_logit(interval.low), _half_logit(interval.high))


def _half_logit(share: float) -> float:
    return math.copysign(math.inf, share - 0.5) if share in (0.0, 1.0) else math.log(share / (1 - share)) / 2


def _around(strength: float, reach: float, sequences: int) -> tuple[float, float] | None:
    return None if sequences < SMALLEST_INTERVAL else (strength - reach, strength + reach)


def _fit(won: NDArray[Any], models: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Strengths that sum to 0, and half the width of their intervals; `won`: sequence by pair, as combinations go."""
    import numpy as np

    sequences = len(won)
    design = np.zeros((won.shape[1], models))
    for row, (first, second) in zip(design, combinations(range(models), 2), strict=True):
        row[first], row[second] = 1.0, -1.0
    free = np.vstack([np.eye(models - 1), -np.ones(models - 1)])  # the last strength is minus the sum of the others
    design = design @ free
    strength = np.zeros(models - 1)
    for _ in range(STEPS):
        chance, bread, hats = _information(design, strength, sequences)
        step = bread @ (design.T @ (won.sum(axis=0) - sequences * chance + hats * (0.5 - chance)))
        strength = strength + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < CLOSE:
            break
    chance, bread, hats = _information(design, strength, sequences)
    scores = (won - chance + hats * (0.5 - chance) / sequences) @ design
    spread = bread @ (scores.T @ scores) @ bread * sequences / max(sequences - 1, 1)
    variance = np.maximum(np.diag(free @ spread @ free.T), np.diag(free @ bread @ free.T))
    reach = t_quantile(0.95, sequences - 1) * np.sqrt(variance) if sequences > 1 else np.zeros(models)
    return free @ strength, reach


def _information(
    design: NDArray[Any], strength: NDArray[Any], sequences: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Chance that each pair's first wins, the inverse of Fisher's information, and each pair's leverage."""
    import numpy as np

    chance = 1 / (1 + np.exp(-(design @ strength)))
    weight = sequences * chance * (1 - chance)
    bread = np.linalg.inv(design.T @ (weight[:, None] * design))
    return chance, bread, weight * np.einsum("ij,jk,ik->i", design, bread, design)
