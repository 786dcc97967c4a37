"""Exact search among unit vectors, the fusion of two rankings, and what is nearly the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""n x d: a unit vector a row."""
BLOCK = 1024
"""Rows compared with all others at once."""
FUSION_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""


def nearest(
    matrix: Matrix, vector: npt.NDArray[np.float32], most: int, rows: npt.NDArray[np.intp] | None = None
) -> list[tuple[int, float]]:
    """(row, cosine) of the nearest rows, best first; equal ones in the order of rows. `rows`: only these."""
    cosines = matrix @ vector if rows is None else matrix[rows] @ vector
    count = min(most, len(cosines))
    if count == 0:
        return []
    best = np.argpartition(-cosines, count - 1)[:count]
    best = best[np.lexsort((best, -cosines[best]))]
    return [(int(at if rows is None else rows[at]), float(cosines[at])) for at in best]


def fused(*rankings: Sequence[str]) -> list[str]:
    """One ranking of several, best first: each gives 1 / (60 + rank) to what it names."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (FUSION_K + rank)
    return sorted(scores, key=lambda name: -scores[name])


def near_pairs(matrix: Matrix, least: float) -> Iterator[tuple[int, int, float]]:
    """(row, later row, cosine) of all pairs at least so near."""
    for start in range(0, len(matrix), BLOCK):
        cosines = matrix[start : start + BLOCK] @ matrix[start:].T
        for at, other in zip(*np.nonzero(cosines >= least), strict=True):
            if other > at:
                yield start + int(at), start + int(other), float(cosines[at, other])


def groups_of(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The groups of two and more that the pairs connect, each in order, the largest first."""
    parents = list(range(count))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    groups: dict[int, list[int]] = {}
    for at in range(count):
        groups.setdefault(root(at), []).append(at)
    return sorted((group for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group))


def best_matches(ours: Matrix, theirs: Matrix, least: float) -> list[tuple[int, int, float]]:
    """(row, row of the other, cosine): pairs, each row in one at most, the nearest first (greedy)."""
    cosines = ours @ theirs.T if len(ours) and len(theirs) else np.zeros((len(ours), len(theirs)), np.float32)
    near = np.argwhere(cosines >= least)
    order = np.lexsort((near[:, 1], near[:, 0], -cosines[near[:, 0], near[:, 1]])) if len(near) else []
    taken: tuple[set[int], set[int]] = (set(), set())
    matches = []
    for at in order:
        row, other = int(near[at][0]), int(near[at][1])
        if row not in taken[0] and other not in taken[1]:
            taken[0].add(row)
            taken[1].add(other)
            matches.append((row, other, float(cosines[row, other])))
    return matches
