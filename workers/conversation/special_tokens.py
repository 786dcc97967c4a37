"""Special tokens count only in a template's own text, never in what a person or a model wrote. Pure.

Before rendering, everything in a message's content that could be read as a control token is put between two private-use
characters that occur nowhere else in the conversation. They wrap the text and replace nothing, so that a template's own
tests on content (`in`, `split`) see what they would see without them. After rendering they are removed and their places
remembered: a control token in the text that touches such a place is plain text, any other is real.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nightjar.workers.engine.continuation import continued
from nightjar.workers.engine.request import Tokenizer

LONGEST = 256
"""Only control tokens of up to so many characters are guarded against completion across a border."""
_PRIVATE_USE = range(0xF0000, 0xFFFFD)


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A prompt's text. `guarded` are the spans in it that must not become control tokens; `plain` means all of it."""

    text: str
    guarded: tuple[tuple[int, int], ...] = ()
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Wraps and unwraps the texts of one conversation."""

    left: str
    right: str
    specials: tuple[str, ...]

    @classmethod
    def choose(cls, specials: Iterable[str], texts: Iterable[str]) -> Guard:
        """With two private-use characters that occur in none of `texts`."""
        used = {c for text in texts for c in text if ord(c) in _PRIVATE_USE}
        free = (chr(c) for c in _PRIVATE_USE if chr(c) not in used)
        return cls(left=next(free), right=next(free), specials=tuple(s for s in specials if s))

    def wrap(self, content: str, allowed: str = "") -> str:
        """`content` with every possible control token wrapped, except those that `allowed` contains."""
        specials = tuple(s for s in self.specials if s not in allowed) if allowed else self.specials
        spans = _merged([*_occurrences(content, specials), *_edges(content, specials)])
        parts, at = [], 0
        for start, end in spans:
            parts += [content[at:start], self.left, content[start:end], self.right]
            at = end
        return "".join([*parts, content[at:]])

    def unwrap(self, rendered: str) -> Rendering:
        """The text without the wrapping characters, and the wrapped spans.

        A template that splits content may leave only one of the two characters: a span without an end is dropped.
        """
        parts = re.split(f"([{self.left}{self.right}])", rendered)
        spans: list[tuple[int, int]] = []
        text, start = "", None
        for part in parts:
            if part == self.left:
                start = len(text)
            elif part == self.right:
                if start is not None and start < len(text):
                    spans.append((start, len(text)))
                start = None
            else:
                text += part
        return Rendering(text=text, guarded=tuple(spans))


def encode_rendering(tokenizer: Tokenizer, rendering: Rendering, start: int = 0) -> list[int]:
    """Ids of the text from `start` on, which must be a border between tokens; in one piece if nothing collides."""
    text = rendering.text[start:]
    if not text:
        return []
    if rendering.plain:
        return (
            continued(tokenizer, text, parse_special=False) if start else tokenizer.tokenize(text, parse_special=False)
        )
    spans = tuple((a - start, b - start) for a, b in rendering.guarded if b > start)
    real, collides = _control_tokens(text, tokenizer.special_texts, spans)
    leading = not start or (bool(real) and real[0][0] == 0)
    if not collides:
        return tokenizer.tokenize(text, parse_special=True) if leading else continued(tokenizer, text)
    ids: list[int] = []
    at = 0
    for begin, end in [*real, (len(text), len(text))]:
        if at < begin:
            between = text[at:begin]
            whole = at > 0 or leading
            ids += (
                tokenizer.tokenize(between, parse_special=False)
                if whole
                else continued(tokenizer, between, parse_special=False)
            )
        if begin < end:
            ids += tokenizer.tokenize(text[begin:end], parse_special=True)
        at = end
    return ids


def _control_tokens(
    text: str, specials: tuple[str, ...], guarded: tuple[tuple[int, int], ...]
) -> tuple[list[tuple[int, int]], bool]:
    """The spans of the real control tokens, and whether any other text reads like one."""
    pattern = _index(specials)
    known = frozenset(specials)

    def shorter(special: str) -> Iterator[str]:
        return (special[:k] for k in range(1, len(special)) if special[:k] in known)

    ends = [b for _, b in guarded]
    real: list[tuple[int, int]] = []
    collides, at = False, 0
    while match := pattern.search(text, at):
        begin = match.start()
        at = begin + 1
        nearest = bisect_left(ends, begin + 1)
        wall = guarded[nearest][0] if nearest < len(guarded) else len(text)
        end = match.end()
        if end > wall:  # typed by somebody; a shorter one may still stand before it
            collides = True
            end = max((begin + len(s) for s in shorter(match.group()) if begin + len(s) <= wall), default=begin)
        if end > begin:
            real.append((begin, end))
            at = end
    return real, collides


@lru_cache(maxsize=8)
def _index(specials: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any control token, the longest if several begin alike. They are grouped by their first two characters, so
    that text with many of the first character costs little."""
    groups: dict[str, list[str]] = {}
    for special in sorted(filter(None, specials), key=len, reverse=True):
        groups.setdefault(special[:2], []).append(re.escape(special[2:]))
    longest_first = sorted(groups, key=len, reverse=True)
    return re.compile("|".join(f"{re.escape(key)}(?:{'|'.join(groups[key])})" for key in longest_first) or "(?!)")


@lru_cache(maxsize=8)
def _parts(specials: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str], int]:
    """The proper prefixes and suffixes of control tokens, and the longest length; real ones are far below `LONGEST`."""
    specials = tuple(s for s in specials if len(s) <= LONGEST)
    begins = frozenset(s[:k] for s in specials for k in range(1, len(s)))
    ends = frozenset(s[k:] for s in specials for k in range(1, len(s)))
    return begins, ends, max([0, *map(len, specials)])


def _occurrences(content: str, specials: tuple[str, ...]) -> list[tuple[int, int]]:
    pattern = _index(specials)
    spans, at = [], 0
    while match := pattern.search(content, at):
        spans.append(match.span())
        at = match.start() + 1
    return spans


def _edges(content: str, specials: tuple[str, ...]) -> list[tuple[int, int]]:
    """Prefixes of control tokens at the end of the content and suffixes of them at its start, ignoring white space: the
    template's text next to them might complete one."""
    begins, ends, longest = _parts(specials)
    spans = []
    for first, last in {(0, len(content)), (len(content) - len(content.lstrip()), len(content.rstrip()))}:
        for length in range(1, min(longest, last - first + 1)):
            if content[last - length : last] in begins:
                spans.append((last - length, last))
            if content[first : first + length] in ends:
                spans.append((first, first + length))
        if 0 < last - first < longest and any(content[first:last] in s for s in specials):
            spans.append((first, last))
    return spans


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def guard_messages(guard: Guard, messages: list[dict[str, Any]], markers: str) -> list[dict[str, Any]]:
    """Messages with wrapped texts. In the assistant's, reasoning markers stay as they are."""
    return [
        {
            key: value if key == "role" else _wrapped(guard, value, markers if message["role"] == "assistant" else "")
            for key, value in message.items()
        }
        for message in messages
    ]


def _wrapped(guard: Guard, value: Any, allowed: str) -> Any:
    """The value with every text in it wrapped: calls of tools are nested."""
    if isinstance(value, str):
        return guard.wrap(value, allowed)
    if isinstance(value, dict):
        return {key: _wrapped(guard, item, allowed) for key, item in value.items()}
    return [_wrapped(guard, item, allowed) for item in value] if isinstance(value, list) else value


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)
