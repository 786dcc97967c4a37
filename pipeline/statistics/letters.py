"""Compact letter display: which of several means are apart, in letters. Pure.

Piepho, "An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons" (2004): insert and absorb.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def compact_letters(names: Sequence[str], apart: Collection[tuple[str, str]]) -> dict[str, str]:
    """Letters for each name: two share one exactly where they are not in `apart`, in either order.

    Letters are given in the order of `names`: the first gets "a". After "z" come "a1", "b1", ...
    """
    groups = [frozenset(names)] if names else []
    for one, two in apart:
        split = [part for group in groups if {one, two} <= group for part in (group - {one}, group - {two})]
        groups = [group for group in groups if not {one, two} <= group] + split
        groups = [group for at, group in enumerate(groups) if not _absorbed(group, groups, at)]
    place = {name: at for at, name in enumerate(names)}
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {name: "".join(_letter(at) for at, group in enumerate(groups) if name in group) for name in names}


def _absorbed(group: frozenset[str], groups: Sequence[frozenset[str]], at: int) -> bool:
    """Whether another group holds all of it; of equal ones the first stays."""
    return any(group < other or (group == other and number < at) for number, other in enumerate(groups))


def _letter(at: int) -> str:
    rounds, letter = divmod(at, len(ALPHABET))
    return ALPHABET[letter] + (str(rounds) if rounds else "")
