"""Reasoning blocks in a reply: found by their tokens where they have some, else by their text. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nightjar.workers.engine.markers import Markers
from nightjar.workers.engine.request import Tokenizer

_QUOTES = "`\"'“‘«(„「"
"""Before a marker these say that it is spoken of."""


def is_open(prompt_text: str, markers: Markers | None) -> bool:
    """Whether a prompt ends inside a reasoning block that the template opened."""
    return markers is not None and prompt_text.rstrip().endswith(markers.open.rstrip())


@dataclass(frozen=True, kw_only=True)
class Split:
    """A reply's parts. `unclosed`: the reasoning block never ended, so there is no reply."""

    raw: str
    """The whole reply, with all its markers written out."""
    reply: str
    reasoning: str = ""
    reasoning_tokens: int = 0
    """Markers included; 0 also where the tokens are not known."""
    unclosed: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    """Where the blocks are in the raw text, markers included."""


def split(raw: str, markers: Markers | None, *, opened: bool = False) -> Split:
    """Takes the reasoning out of a reply of which only the text is known. `opened`: the prompt already opened it.

    Blocks stand at the beginning: a marker after visible text is part of the reply, which may be about markers. A
    block that never closes takes everything. A closing marker without an opening one ends a block that began with the
    reply, unless it is quoted.
    """
    if markers is None:
        return Split(raw=raw, reply=raw)
    return _split(raw, raw, markers, opened, anywhere=False)


def split_so_far(raw: str, markers: Markers | None, *, opened: bool = False) -> tuple[str, str]:
    """Reasoning and visible text of a reply that is still being written. An end that may become a marker is left out.

    What is there now stays the beginning of what comes, except where a closing marker reveals that all was reasoning.
    """
    if markers is None:
        return "", raw
    parts = split(raw[: len(raw) - _begun_marker(raw, markers)], markers, opened=opened)
    said = not parts.unclosed and parts.reply.strip()  # blanks may stand before a block, and go with it
    return parts.reasoning, parts.reply if said else ""


def _begun_marker(raw: str, markers: Markers) -> int:
    """Length of the longest end of the text that begins a marker and is none yet."""
    texts = [text for text in (markers.open, markers.close, markers.lead) if text]
    for length in range(min(len(raw), max(map(len, texts)) - 1), 0, -1):
        if any(text.startswith(raw[-length:]) for text in texts):
            return length
    return 0


def split_tokens(
    ids: Sequence[int], text: str, markers: Markers | None, tokenizer: Tokenizer, *, opened: bool = False
) -> Split:
    """Takes the reasoning out of a reply of these ids; `text` is what the engine made of them up to a stop string.

    Markers that are tokens of their own count where the token is, and their spelling in other tokens is text. Those
    that are control tokens cannot be part of an answer, so they count after visible text as well. Without any of their
    tokens in the reply, markers are looked for in the text.
    """
    if markers is None:
        return Split(raw=text, reply=text)
    atoms = _atoms(markers, tokenizer)
    raw = _written(ids, atoms, tokenizer)
    cut = _cut(raw, text, tokenizer.detokenize(list(ids)))
    found = any(token in atoms for token in ids)
    seen = (_written(ids, atoms, tokenizer, hide=markers.atoms) if found else raw)[:cut]
    anywhere = found and any(not tokenizer.detokenize([token]) for token in atoms)
    parts = _split(raw[:cut], seen, markers, opened, anywhere=anywhere)
    return replace(parts, reasoning_tokens=_count(ids, parts, atoms, tokenizer))


def _split(raw: str, seen: str, markers: Markers, opened: bool, *, anywhere: bool) -> Split:
    """`seen` is `raw`, in which what only looks like a marker is unreadable."""
    spans, unclosed = _blocks(seen, markers, opened, anywhere)
    thoughts, visible, unread, at = [], [], [], 0
    for start, end in spans:
        visible.append(raw[at:start])
        unread.append(seen[at:start])
        thoughts.append(_thoughts(raw[start:end], seen[start:end], markers))
        at = end
    reply = "".join([*visible, raw[at:]])
    if lead := markers.leading and markers.leading.match("".join([*unread, seen[at:]])):
        reply = reply[lead.end() :]
    if spans:
        reply = reply.lstrip()
    reasoning = "\n\n".join(t for t in thoughts if t)
    return Split(raw=raw, reply=reply, reasoning=reasoning, unclosed=unclosed, spans=tuple(spans))


def _blocks(seen: str, markers: Markers, opened: bool, anywhere: bool) -> tuple[list[tuple[int, int]], bool]:
    """Spans of the reasoning blocks, and whether the last one never closes."""
    spans: list[tuple[int, int]] = []
    at = 0
    close = markers.closing.search(seen)
    if opened or _ends_unseen(seen, markers, close):
        if close is None:
            return [(0, len(seen))], True
        at = close.end()
        spans.append((0, at))
    while opening := markers.opening.search(seen, at):
        start = opening.start()
        visible = "".join(
            seen[a:b] for a, b in zip([0, *(e for _, e in spans)], [*(s for s, _ in spans), start], strict=True)
        ).strip()
        close = markers.closing.search(seen, opening.end())
        if visible and (close is None or not anywhere):
            return spans, False
        if close is None:
            return [*spans, (start, len(seen))], True
        at = close.end()
        spans.append((start, at))
    return spans, False


def _ends_unseen(seen: str, markers: Markers, close: re.Match[str] | None) -> bool:
    """Whether a closing marker ends a block that began with the reply, and is not merely spoken of."""
    if close is None or seen[: close.start()].rstrip(" ").endswith(tuple(_QUOTES)):
        return False
    opening = markers.opening.search(seen)
    return opening is None or close.start() < opening.start()


def _thoughts(raw: str, seen: str, markers: Markers) -> str:
    """The inside of a block."""
    opening = markers.opening.match(seen)
    closes = [m for m in markers.closing.finditer(seen) if m.end() == len(seen)]
    start, end = opening.end() if opening else 0, closes[-1].start() if closes else len(seen)
    if not markers.inner:
        return raw[start:end].strip()
    parts, at = [], start
    for between in re.compile(markers.inner).finditer(seen, start, end):
        parts.append(raw[at : between.start()].strip())
        at = between.end()
    return "\n\n".join(part for part in [*parts, raw[at:end].strip()] if part)


def _atoms(markers: Markers, tokenizer: Tokenizer) -> dict[int, str]:
    """The markers' parts that are one token each in this vocabulary."""
    atoms = {}
    for text in markers.atoms:
        ids = tokenizer.tokenize(text, parse_special=True)
        if len(ids) == 1 and (tokenizer.detokenize(ids) == text or text in tokenizer.special_texts):
            atoms[ids[0]] = text
    return atoms


def _written(ids: Sequence[int], atoms: dict[int, str], tokenizer: Tokenizer, *, hide: Sequence[str] = ()) -> str:
    """The text of ids, with the markers' parts written out; first characters of `hide` are replaced elsewhere."""
    unreadable = {ord(text[0]): "\ufffd" for text in hide}
    parts: list[str] = []
    plain: list[int] = []
    for token in [*ids, None]:
        if token is not None and token not in atoms:
            plain.append(token)
            continue
        parts.append(tokenizer.detokenize(plain).translate(unreadable))
        plain = []
        if token is not None:
            parts.append(atoms[token])
    return "".join(parts)


def _cut(raw: str, text: str, plain: str) -> int:
    """How many characters of `raw` come before a stop string; `plain` is the raw text without control tokens."""
    if raw.startswith(text):
        return len(text)
    return len(raw) - (len(plain) - len(text)) if plain.startswith(text) else len(raw)


def _count(ids: Sequence[int], parts: Split, atoms: dict[int, str], tokenizer: Tokenizer) -> int:
    """How many tokens are in the blocks."""
    counts = range(len(ids) + 1)

    def chars(count: int) -> int:
        return len(_written(ids[:count], atoms, tokenizer).rstrip("\ufffd"))  # without an unfinished character

    def tokens(char: int) -> int:
        return min(bisect_left(counts, char, key=chars), len(ids))

    return sum(tokens(end) - tokens(start) for start, end in parts.spans)
