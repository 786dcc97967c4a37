"""Texts cut to a number of tokens, never inside a word or a number. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import regex

from nightjar.workers.engine.request import Tokenizer

NEAR = 200
"""Characters before a place in which a word must have begun: a longer one is cut inside."""
AFTER = 20
"""Characters after it that may tell whether it is inside a word."""
_BORDERS = regex.compile(r"\b", regex.WORD)
"""Of words as Unicode divides a text into them (UAX 29): "3.14", "1,234" and "don't" are one word each."""


def shortened(text: str, most: int, tokenizer: Tokenizer) -> str:
    """The beginning of the text, at most `most` tokens, up to the end of a word."""
    ids = tokenizer.tokenize(text, parse_special=False)
    if len(ids) <= most:
        return text
    cut = len(tokenizer.detokenize(ids[:most]).rstrip("\ufffd"))
    return text[: word_border(text, cut)].rstrip()


def whole_words(text: str) -> str:
    """A text that ended for want of room, without its last word, of which the end may be missing."""
    return text[: _border(text, len(text) - 1) or len(text)].rstrip()


def pieces(text: str, most: int, tokenizer: Tokenizer) -> Iterator[str]:
    """The whole text in pieces of at most about `most` tokens, about equally long."""
    while text:
        ids = tokenizer.tokenize(text, parse_special=False)
        if len(ids) <= most:
            yield text
            return
        even = math.ceil(len(ids) / math.ceil(len(ids) / most))
        end = word_border(text, max(1, len(tokenizer.detokenize(ids[:even]).rstrip("\ufffd"))))
        yield text[:end]
        text = text[end:]


def word_border(text: str, end: int) -> int:
    """The last place in the text, at most `end`, where a cut divides no word: after a blank if one is near.

    It is `end` inside a word that is longer than NEAR.
    """
    return _border(text, end) or end


def _border(text: str, end: int) -> int | None:
    near = max(0, end - NEAR)
    blank = max(text.rfind(" ", near, end), text.rfind("\n", near, end))
    if blank > 0:
        return blank + 1
    borders = (near + border.start() for border in _BORDERS.finditer(text[near : end + AFTER]))
    return max((border for border in borders if near < border <= end), default=None)
