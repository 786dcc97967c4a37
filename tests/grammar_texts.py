"""Texts that a grammar lets through, drawn by chance byte by byte, with no model."""

from __future__ import annotations

import random

from llguidance import LLTokenizer

from nightjar.workers.engine.grammar.matcher import GrammarMatcher

BYTES = LLTokenizer("byte")
CLOSERS = frozenset(b'"]},')
"""Come first once a text is long, so that it ends."""


def written(grammar: str, chooser: random.Random, *, soft: int = 60, most: int = 2000) -> str | None:
    """One text; None if it did not end. Asserts that there is always a way on."""
    matcher = GrammarMatcher.of(BYTES, grammar)
    text = bytearray()
    while len(text) < most:
        text += bytes(matcher.forced())
        if matcher.complete:
            return text.decode()
        mask = matcher.mask()
        assert not matcher.error, matcher.error
        ways = [code for code in range(BYTES.vocab_size) if mask[code // 32] >> (code % 32) & 1]
        assert ways, f"nothing can follow {bytes(text)!r}"
        ends = [code for code in ways if code >= 256]
        if ends and (len(ways) == len(ends) or len(text) > soft or chooser.random() < 0.3):
            return text.decode()
        closers = [code for code in ways if code in CLOSERS] if len(text) > soft or chooser.random() < 0.3 else []
        text.append(code := chooser.choice(closers or [way for way in ways if way < 256]))
        assert matcher.take(code)
    return None
