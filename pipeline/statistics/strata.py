"""Means over parts that count alike, whatever their sizes: macro averages, their doubt and their tests. Pure.

The mean is that of the parts' means. Each value is replaced by one that differs from it as much as the value differs
from its own part's mean, weighted by N / (G n): the plain mean of the replaced values is the macro average, and their
spread that of a stratified sample (Cochran 1977, section 5.3), since parts are fixed and questions drawn within them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from nightjar.pipeline.statistics.intervals import Interval, share_like_interval


def stratified_values(values: Mapping[str, float], parts: Mapping[str, str]) -> dict[str, float]:
    """Key -> u with mean(u) = the mean of the parts' means. `parts`: key -> its part; parts without values don't count.

    With N values in G parts and n of them in this one: u = M + N / (G n) sqrt(n / (n - 1)) (v - m), m the part's mean
    and M that of the parts. A part with one value says nothing of its spread: there v - M stands for v - m.
    One part leaves the values as they are.
    """
    members: dict[str, list[float]] = {}
    for key, value in values.items():
        members.setdefault(parts[key], []).append(value)
    if len(members) < 2:
        return dict(values)
    means = {part: math.fsum(inside) / len(inside) for part, inside in members.items()}
    centre = math.fsum(means.values()) / len(means)
    replaced = {}
    lone = _lone(members, means, centre)
    for key, value in values.items():
        part = parts[key]
        size = len(members[part])
        weight = len(values) / (len(members) * size)
        away = (value - means[part]) * math.sqrt(size / (size - 1)) if size > 1 else value - centre - lone
        replaced[key] = centre + weight * away
    return replaced


def _lone(members: Mapping[str, Sequence[float]], means: Mapping[str, float], centre: float) -> float:
    """What keeps the mean: how far the parts with one value lie from the centre, on average."""
    away = [means[part] - centre for part, inside in members.items() if len(inside) == 1]
    return math.fsum(away) / len(away) if away else 0.0


def stratified_share_interval(replaced: Mapping[str, float], parts: Mapping[str, str], trials: int) -> Interval | None:
    """Wilson's interval of a macro average of shares, from values replaced by `stratified_values`.

    The number of trials is the effective one of their spread, at most what parts of these sizes leave of the real ones
    (Kish 1965): small parts count for more. None for few sequences, as ever.
    """
    sizes = Counter(parts[key] for key in replaced)
    n = len(replaced)
    kept = len(sizes) ** 2 / math.fsum(1 / size for size in sizes.values()) / n
    return share_like_interval(list(replaced.values()), max(trials, n) * kept)
