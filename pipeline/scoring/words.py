"""The words of a text, as checks and measures count them. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_TYPOGRAPHIC = {"’": "'", "“": " ", "”": " ", "—": " ", "–": " ", "…": " "}
"""The usual reason why an English text is not ASCII; only the apostrophe may be inside a word."""
_SPACED = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) not in "'-"}


@lru_cache(maxsize=8)  # several scorers ask for the words of the same reply, one after another
def words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits, joined by inner apostrophes and hyphens, in lower case; ’ counts as '."""
    text = text.lower()
    if not text.isascii():
        for mark, plain in _TYPOGRAPHIC.items():
            text = text.replace(mark, plain)
        if not text.isascii():
            return tuple(_WORD.findall(text))
    runs = text.translate(_SPACED).split()  # several times quicker than a pattern
    if "'" not in text and "-" not in text:
        return tuple(runs)
    tokens: list[str] = []
    for run in runs:
        if run.isalnum():
            tokens.append(run)
        else:
            tokens += _WORD.findall(run)
    return tuple(tokens)


def count_words(text: str) -> int:
    return len(words(text))


_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[」』”]*|\n[ \t]*\n")
_SHORT = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|no|fig|inc|ltd|co|ca|cf|approx)|\b(?:e\.g|i\.e|etc|a\.m|p\.m)|(?-i:\b[A-HJ-Z]))$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:^|\n)[ \t]*\d+$")


def count_sentences(text: str) -> int:
    """Spans that contain a word and end with . ! ? or a blank line; abbreviations, initials, list numbers end none."""
    count = start = 0
    for end in _SENTENCE_END.finditer(text):
        before = text[start : end.start()]
        if end.group()[0] == "." and (_SHORT.search(before) or _LISTED.search(before)) and text[end.end() :].strip():
            continue
        count += bool(_WORD.search(before))
        start = end.end()
    return count + bool(_WORD.search(text[start:]))
