"""Which models of two runs are compared with each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def pair_names(base: Sequence[str], other: Sequence[str], *, same_run: bool) -> list[tuple[str, str]]:
    """Which contestants of two runs belong together; a run's only one with every other, but not with itself."""
    if len(base) == len(other) == 1:
        return [(base[0], other[0])]
    if len(base) == 1:
        return [(base[0], name) for name in other if not (same_run and name == base[0])]
    return [(name, name) for name in base if name in other]
