"""Scores of two models in simulated worlds whose truth is known."""

from __future__ import annotations

import numpy as np


def paired_scores(
    random: np.random.Generator, pairs: int, *, worse_by: float, graded: bool
) -> tuple[list[float], list[float]]:
    """Scores of the cloud and of a local model whose true mean is lower by so much; most pairs agree."""
    if graded:
        steps = random.choice([-0.25, 0.0, 0.25], size=pairs, p=[0.25 + 2 * worse_by, 0.5, 0.25 - 2 * worse_by])
        return [0.5] * pairs, list(0.5 + steps)
    luck = random.random(pairs)
    again = np.where(random.random(pairs) < 0.7, luck, random.random(pairs))
    return list((luck < 0.8).astype(float)), list((again < 0.8 - worse_by).astype(float))
