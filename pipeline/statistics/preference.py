"""Win rates and Bradley-Terry strengths from comparisons of models on the same sequences. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.statistics.intervals import Interval, share_interval
from nightjar.pipeline.statistics.spread import SEED, SMALLEST_BOOTSTRAP

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIOR = 0.1
"""Share of a tie added to each pair, so that a model that always wins has a finite strength."""
RESAMPLES = 400
Shares = Mapping[tuple[str, str], Mapping[str, float]]
"""Pair of models -> sequence -> share of its comparisons that the first won; a tie counts half."""


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Share of sequences on which the first model is better; a tie is half a win."""

    first: str
    second: str
    n: int
    share: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Bradley-Terry strength: natural log odds against the average model. Interval over sequences, from ten on."""

    model: str
    strength: float
    interval: Interval | None


def win_rates(values: Mapping[str, Mapping[str, float]]) -> list[WinRate]:
    """Win rates of all pairs of models with a shared sequence. `values`: model -> sequence -> value; more is better."""
    return rates_of(_shares(values))


def bradley_terry(values: Mapping[str, Mapping[str, float]], seed: int = SEED) -> list[Strength]:
    """Strengths over the sequences that all models have, strongest first; empty without two models and a sequence."""
    return strengths_of(_shares(values), seed)


def rates_of(shares: Shares) -> list[WinRate]:
    """Win rates of pairs that were compared directly; pairs without a sequence are left out."""
    return [
        WinRate(
            first=first,
            second=second,
            n=len(points),
            share=math.fsum(points.values()) / len(points),
            interval=share_interval(list(points.values()), len(points)),
        )
        for (first, second), points in shares.items()
        if points
    ]


def strengths_of(shares: Shares, seed: int = SEED) -> list[Strength]:
    """Strengths from direct comparisons, over the sequences that all pairs have; strongest first.

    Empty if some pair of the models was not compared, or no sequence is common to all.
    """
    import numpy as np

    models = list(dict.fromkeys(model for pair in shares for model in pair))
    pairs = {(a, b): shares.get((a, b), {}) for a, b in combinations(models, 2)}
    shared = sorted(set.intersection(*(set(points) for points in pairs.values()))) if pairs else []
    if not shared:
        return []
    points = np.zeros((len(shared), len(models), len(models)))
    for i, j in combinations(range(len(models)), 2):
        points[:, i, j] = [pairs[models[i], models[j]][key] for key in shared]
        points[:, j, i] = 1 - points[:, i, j]
    fitted = _fit(points.sum(axis=0))
    spread = _resampled(points, seed) if len(shared) >= SMALLEST_BOOTSTRAP else None
    strengths = [
        Strength(model=model, strength=float(fitted[at]), interval=_interval(spread, at))
        for at, model in enumerate(models)
    ]
    return sorted(strengths, key=lambda strength: -strength.strength)


def _shares(values: Mapping[str, Mapping[str, float]]) -> Shares:
    """For every two models, by sequence: which one has the higher value."""
    return {
        (first, second): {
            key: _point(values[first][key], values[second][key])
            for key in sorted(values[first].keys() & values[second].keys())
        }
        for first, second in combinations(values, 2)
    }


def _point(first: float, second: float) -> float:
    return 0.5 if first == second else float(first > second)


def _fit(wins: NDArray[Any]) -> NDArray[Any]:
    """Zermelo's iteration (Newman 2023's form), centred; `wins[..., i, j]`: how often i beat j, one or many samples."""
    import numpy as np

    models = wins.shape[-1]
    wins = wins + PRIOR / 2 * (1 - np.eye(models))
    strength: NDArray[Any] = np.ones(wins.shape[:-1])
    for _ in range(500):
        sums = strength[..., :, None] + strength[..., None, :]
        step = (wins * (strength[..., None, :] / sums)).sum(axis=-1)
        step = step / (np.swapaxes(wins, -1, -2) / sums).sum(axis=-1)
        new = np.sqrt(strength * step)  # half a step: updating all at once would oscillate
        new = new / np.exp(np.log(new).mean(axis=-1, keepdims=True))
        moved = np.abs(np.log(new) - np.log(strength)).max()
        strength = new
        if moved < 1e-9:
            break
    result: NDArray[Any] = np.log(strength)
    return result


def _resampled(points: NDArray[Any], seed: int) -> NDArray[Any]:
    """Strengths of RESAMPLES samples of sequences; a sample is how often each sequence was drawn."""
    import numpy as np

    count, models = points.shape[0], points.shape[1]
    source = np.random.default_rng(seed)
    drawn = source.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return _fit((drawn @ points.reshape(count, models * models)).reshape(RESAMPLES, models, models))


def _interval(spread: NDArray[Any] | None, at: int) -> Interval | None:
    import numpy as np

    if spread is None:
        return None
    low, high = np.quantile(spread[:, at], [0.025, 0.975])
    return Interval(low=float(low), high=float(high), method="bootstrap")
