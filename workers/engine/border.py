"""Where a continuation's tokens begin after a context. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.workers.engine.request import Tokenizer


@dataclass(frozen=True, kw_only=True)
class BorderSplit:
    context: tuple[int, ...]
    continuation: tuple[int, ...]
    merged: bool


def split_at_border(context: str, continuation: str, tokenizer: Tokenizer) -> BorderSplit:
    bare = context.rstrip()
    before = tokenizer.tokenize(bare, parse_special=False)
    whole = tokenizer.tokenize(context + continuation, parse_special=False)
    return BorderSplit(
        context=tuple(before),
        continuation=tuple(whole[len(before) :]),
        merged=whole[: len(before)] != before,
    )
