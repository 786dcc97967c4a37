"""Exact search among unit vectors, and what is nearly the same. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""n x d: a unit vector a row."""
Places = npt.NDArray[np.intp]
BLOCK, WIDE = 1024, 4096
"""Rows that are compared with rows at once."""


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


def near_groups(
    matrix: Matrix, rows: npt.NDArray[np.intp], least: float, stopped: Callable[[], bool] = lambda: False
) -> list[list[int]]:
    """Of these rows the places (0 to n - 1) that pairs at least so near connect: groups of two and more, each in order,
    the largest first.

    All pairs are compared, a block with a block, so that memory grows with the number of rows and not with its square.
    `stopped` is asked between two blocks: nobody waits for the groups any more then, and there are none.
    """
    groups = np.arange(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = matrix[rows[start : start + BLOCK]]
        for other in range(start, len(rows), WIDE):
            if stopped():
                return []
            one, two = np.nonzero(block @ matrix[rows[other : other + WIDE]].T >= least)
            groups = _joined(groups, one + start, two + other)
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    found = [[int(at) for at in group] for group in np.split(order, ends) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def _joined(groups: Places, one: Places, two: Places) -> Places:
    """The group of each place, once the pairs are in one."""
    pairs = np.stack([groups[one], groups[two]])
    pairs = pairs[:, pairs[0] != pairs[1]]
    if not pairs.shape[1]:
        return groups
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = len(groups)
    graph = coo_matrix((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(size, size))
    merged: Places = connected_components(graph, directed=False)[1].astype(np.intp)[groups]
    return merged


def best_matches(ours: Matrix, theirs: Matrix, least: float) -> list[tuple[int, int, float]]:
    """(row, row of the other, cosine): pairs, each row in one at most, the nearest first (greedy)."""
    cosines = ours @ theirs.T if len(ours) and len(theirs) else np.zeros((len(ours), len(theirs)), np.float32)
    near = np.argwhere(cosines >= least)
    order: npt.NDArray[np.intp] = np.lexsort((near[:, 1], near[:, 0], -cosines[near[:, 0], near[:, 1]]))
    taken: tuple[set[int], set[int]] = (set(), set())
    matches = []
    for at in order:
        row, other = int(near[at][0]), int(near[at][1])
        if row not in taken[0] and other not in taken[1]:
            taken[0].add(row)
            taken[1].add(other)
            matches.append((row, other, float(cosines[row, other])))
    return matches
