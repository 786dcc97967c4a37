"""The sentence of a text that matched. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_SENTENCES = 24
"""Of a text, looked at."""
LONGEST = 300
"""Characters of a sentence that are shown."""
_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """The text's first sentences, split at full stops and new lines; never empty ones."""
    return [part.strip() for part in _END.split(text) if part and part.strip()][:MOST_SENTENCES]


def with_phrases(text: str, phrases: Sequence[str]) -> str:
    """The sentence that holds most of the phrases, the first of equals."""
    lowered = [phrase.casefold() for phrase in phrases]
    every = [part.strip() for part in _END.split(text) if part and part.strip()] or [text]
    return max(every, key=lambda sentence: sum(phrase in sentence.casefold() for phrase in lowered))


def clipped(sentence: str, phrases: Sequence[str] = ()) -> str:
    """At most `LONGEST` characters of it, in one line, about the first of the phrases."""
    line = " ".join(sentence.split())
    if len(line) <= LONGEST:
        return line
    places = [at for phrase in phrases if (at := line.casefold().find(phrase.casefold())) >= 0]
    start = max(0, min(places, default=0) - LONGEST // 3)
    end = start + LONGEST
    return f"{'… ' if start else ''}{line[start:end].strip()}{' …' if end < len(line) else ''}"
