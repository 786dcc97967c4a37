"""The smallest number for which something holds. Pure."""

from __future__ import annotations

from collections.abc import Callable


def smallest_number(holds: Callable[[int], bool], *, least: int, most: int) -> int | None:
    """The smallest number from `least` on for which it holds, given that it holds for all larger ones too; found by
    doubling, then by halves. None if it holds for none of those tried up to `most`.
    """
    low, high = least - 1, least
    while not holds(high):
        low, high = high, high * 2
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
