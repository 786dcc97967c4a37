"""The words of a text, as checks and measures count them. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@lru_cache(maxsize=8)  # several scorers ask for the words of the same reply, one after another
def words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits, joined by inner apostrophes and hyphens, in lower case."""
    return tuple(_WORD.findall(text.lower()))


def count_words(text: str) -> int:
    return len(words(text))
