"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_WORDS = 2_000
"""Of what differs, on either side; more is marked as a whole, since finding the pieces takes quadratic time."""
_SINGLE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts that put no space between words: each is a word."""
_WORD = re.compile(rf"\s*(?:[{_SINGLE}]|[^\W{_SINGLE}]+|[^\w\s])|\s+")


@dataclass(frozen=True, kw_only=True)
class DiffPiece:
    """A part of a text; `changed`: the other text has something else in its place, or nothing."""

    text: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class WordDiff:
    """Both texts in pieces, each of which is the whole text when put together."""

    before: tuple[DiffPiece, ...]
    after: tuple[DiffPiece, ...]


def diff_words(before: str, after: str) -> WordDiff:
    """The pieces of both texts. A word has the space in front of it."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    middles = old[head : len(old) - tail], new[head : len(new) - tail]
    blocks = list(_blocks(*middles))
    return WordDiff(
        before=_pieces(old[:head], middles[0], old[len(old) - tail :], [(at, size) for at, _, size in blocks]),
        after=_pieces(new[:head], middles[1], new[len(new) - tail :], [(at, size) for _, at, size in blocks]),
    )


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """What both have: where it begins in each, and how many words it is."""
    if max(len(old), len(new)) <= MOST_WORDS:
        for block in SequenceMatcher(None, old, new).get_matching_blocks():
            yield block.a, block.b, block.size


def _pieces(
    head: Sequence[str], middle: Sequence[str], tail: Sequence[str], same: Sequence[tuple[int, int]]
) -> tuple[DiffPiece, ...]:
    parts, done = [(False, head)], 0
    for at, size in same:
        parts += [(True, middle[done:at]), (False, middle[at : at + size])]
        done = at + size
    parts += [(True, middle[done:]), (False, tail)]
    joined: list[DiffPiece] = []
    for changed, words in parts:
        text = "".join(words)
        if joined and text and joined[-1].changed == changed:
            joined[-1] = DiffPiece(text=joined[-1].text + text, changed=changed)
        elif text:
            joined.append(DiffPiece(text=text, changed=changed))
    return tuple(joined)
