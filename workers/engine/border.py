"""Where a context ends and what is scored after it begins, in tokens. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Border:
    """A context and its continuation as token ids: one after the other they are the whole text's."""

    context_ids: tuple[int, ...]
    """Empty for an empty context without BOS: nothing can be scored after it."""
    continuation_ids: tuple[int, ...]
    merged: bool
    """The context's own ids do not begin the whole text's: a token reaches over the border."""


def split_at_border(
    tokenizer_tokenize: Callable[[str], Sequence[int]], context: str, continuation: str, *, bos: int | None = None
) -> Border:
    """What is scored of a continuation, by lm-evaluation-harness' rule.

    Spaces at the context's end belong to the continuation. Of the ids of both texts together, all but as many as the
    context has by itself are scored, and at least one unless the continuation is empty. `bos` stands before both,
    unless `tokenizer_tokenize` has put it there.
    """
    bare = context.rstrip()
    continuation = context[len(bare) :] + continuation
    own, whole = (_led(tokenizer_tokenize(text), bos) for text in (bare, bare + continuation))
    at = min(len(own), max(0, len(whole) - 1)) if continuation else len(whole)
    return Border(context_ids=whole[:at], continuation_ids=whole[at:], merged=whole[: len(own)] != own)


def _led(ids: Sequence[int], bos: int | None) -> tuple[int, ...]:
    return tuple(ids) if bos is None or list(ids[:1]) == [bos] else (bos, *ids)
