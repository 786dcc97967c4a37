"""Fits texts into a page: short ones whole, long ones cut if necessary. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import escape

from nightjar.pipeline.report.data.safe import visible

SHORTEST = 240
"""The number of characters that every text keeps."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A text as the page shows it; `left` is the number of characters not shown."""

    text: str
    left: int = 0

    def __bool__(self) -> bool:
        return bool(self.text)


def clip(text: str, most: int) -> Clip:
    """The text, cut at a space near `most` characters."""
    if len(text) <= most + SHORTEST // 8:  # cutting a few words is not worth it
        return Clip(text=text)
    end = text.rfind(" ", most - SHORTEST // 8, most)
    shown = text[: end if end > 0 else most]
    return Clip(text=shown, left=len(text) - len(shown))


def page_bytes(text: str) -> int:
    """The size of a text in a page, escaped and in UTF-8."""
    return len(str(escape(visible(text))).encode("utf-8", "backslashreplace"))


def longest_that_fits(texts: Iterable[str], room: int) -> int | None:
    """The largest limit of characters per text, at least SHORTEST, with which all texts take at most `room` bytes.

    None if they all fit uncut.
    """
    sizes = [(len(text), page_bytes(text)) for text in texts if text]
    if sum(size for _, size in sizes) <= room:
        return None
    low, high = SHORTEST, max(length for length, _ in sizes)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _size_at(middle, sizes) <= room else (low, middle)
    return low


def _size_at(limit: int, sizes: Sequence[tuple[int, int]]) -> float:
    return sum(size if length <= limit else size * limit / length for length, size in sizes)
