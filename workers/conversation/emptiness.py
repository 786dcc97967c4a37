"""Whether a reply is empty, degenerate, or its predecessor again: committed results, with their reason. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from nightjar.jobs.records import Draw, TurnRecord

SPAN_TOKENS = 20
SPAN_TIMES = 5
NO_TEXT = "no text"
NEVER_CLOSED = "reasoning block never closed"

_BLANK_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
"""Invisible characters of other categories: joiners, fillers, the empty Braille cell, variation selectors."""


def is_visible(text: str) -> bool:
    """Whether any character of `text` is visible: not white space, zero-width or a control."""
    return any(c not in _BLANKS and unicodedata.category(c) not in _BLANK_CATEGORIES for c in text)


def empty(reply: str, *, unclosed: bool) -> str | None:
    """Why a reply without its reasoning is empty; None if it is not."""
    if is_visible(reply):
        return None
    return NEVER_CLOSED if unclosed else NO_TEXT


def degenerate(ids: Sequence[int], *, reasoning_tokens: int, min_tokens: int) -> str | None:
    """Why a reply is degenerate; None if it is not. `ids`: everything generated, reasoning included."""
    visible = len(ids) - reasoning_tokens
    if visible < min_tokens:
        return f"{visible} {'token' if visible == 1 else 'tokens'}, min_tokens is {min_tokens}"
    if _repeats(ids):
        return f"{SPAN_TOKENS}-token span {SPAN_TIMES} times running"
    return None


def repeats_previous(draw: Draw, prompt: str, before: TurnRecord) -> str | None:
    """Why a reply to `prompt` is only the one before it again; None if it is not, or may well be.

    Letter case and white space do not count. Under one span of tokens the same answer may be right twice, and so it may
    where the same is asked again.
    """
    short = draw.reply_tokens - draw.reasoning_tokens < SPAN_TOKENS
    if short or _same(prompt, before.prompt) or not _same(draw.reply, before.draw.reply):
        return None
    return f"the reply of turn {before.index + 1} again"


def _same(text: str, other: str) -> bool:
    return text == other or text.casefold().split() == other.casefold().split()


def _repeats(ids: Sequence[int]) -> bool:
    """In linear time: spans repeat while ids equal those one span earlier."""
    running = 0
    for now, earlier in zip(ids[SPAN_TOKENS:], ids, strict=False):
        running = running + 1 if now == earlier else 0
        if running == SPAN_TOKENS * (SPAN_TIMES - 1):
            return True
    return False
