"""One ranking of several, for searches that look in more than one way. Pure."""

from __future__ import annotations

from collections.abc import Sequence

FUSION_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""


def fused(*rankings: Sequence[str]) -> list[str]:
    """One ranking of several, best first: each gives 1 / (60 + rank) to what it names."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (FUSION_K + rank)
    return sorted(scores, key=lambda name: -scores[name])
