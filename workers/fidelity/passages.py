"""What both loads read: stretches of tokens, and which of them are scored. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from nightjar.jobs.fidelity import ScoredPlaces
from nightjar.jobs.records import TurnRecord
from nightjar.workers.conversation.plan import PromptPlan

_Ids = tuple[int, ...]
_Span = tuple[int, int]


class WindowLayout(StrEnum):
    """How a text is cut into windows."""

    NIGHTJAR = "nightjar"
    """Windows one after another, the last as long as what is left; scored is every token that has one before it."""
    LLAMA_PERPLEXITY = "llama-perplexity"
    """As that program does: whole windows only, of which the second half is scored."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Tokens that are read from an empty context. `spans`: [start, end) of those that are scored; start is 1 or more.

    `text`: number of the text that it comes from.
    """

    ids: _Ids
    spans: tuple[_Span, ...]
    text: int

    def __post_init__(self) -> None:
        ends = [0, *(end for _, end in self.spans)]
        assert all(max(before, 1) <= start < end for before, (start, end) in zip(ends, self.spans, strict=False))
        assert ends[-1] <= len(self.ids)

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return sum(end - start for start, end in self.spans)

    @property
    def read(self) -> _Ids:
        """The tokens that are computed: what follows the last scored one's predecessor is not needed."""
        return self.ids[: self.spans[-1][1] - 1] if self.spans else ()

    @property
    def right(self) -> NDArray[np.int64]:
        """The scored tokens."""
        return np.concatenate([np.asarray(self.ids[start:end], np.int64) for start, end in self.spans])

    @property
    def rows(self) -> NDArray[np.int64]:
        """For each scored token the place of the one before it, whose row of logits foretells it."""
        return np.concatenate([np.arange(start - 1, end - 1) for start, end in self.spans])


def cut_windows(
    ids: Sequence[int], bos: int | None, window: int, layout: WindowLayout, *, text: int
) -> Iterator[Passage]:
    """Cuts a text's tokens (without BOS) into passages of at most `window`, each beginning with `bos` where there is
    one. A text too short to score a token of gives none.

    The layout of llama-perplexity (tools/perplexity/perplexity.cpp): BOS goes before the text and over the first token
    of each window; of a window of n tokens those from n/2 + 1 on are scored.
    """
    begin = () if bos is None else (bos,)
    if layout is WindowLayout.LLAMA_PERPLEXITY:
        whole = (*begin, *ids)
        for at in range(0, len(whole) - window + 1, window):
            held = (*begin, *whole[at + len(begin) : at + window])
            yield Passage(ids=held, spans=((window // 2 + 1, window),), text=text)
        return
    step = window - len(begin)
    for at in range(0, len(ids), step):
        held = (*begin, *ids[at : at + step])
        if len(held) > 1:
            yield Passage(ids=held, spans=((1, len(held)),), text=text)


def conversation_passages(
    plans: Sequence[PromptPlan], history: Sequence[TurnRecord], *, text: int
) -> Iterator[Passage]:
    """A stored conversation as its model read it; scored are the replies, each once. Turns whose prompt goes on from
    the one before are one passage, so that nothing is computed twice.

    `plans`: the rebuilt prompts of the first turns of `history`.
    """
    joined = 0  # turns before this one whose replies are scored with it
    for turn, (plan, record) in enumerate(zip(plans, history, strict=False)):
        reply = record.draw.reply_ids or ()
        ids = (*plan.ids, *reply)
        goes_on = turn + 1 < len(plans) and plans[turn + 1].reprefill_reason is None and plans[turn + 1].replies
        if goes_on and plans[turn + 1].ids[: len(ids)] == ids:
            joined += 1
            continue
        before = plan.replies[len(plan.replies) - joined :]  # a prompt may hold more: those were scored in their own
        joined = 0
        spans = [*before, (len(plan.ids), len(ids))]
        kept = tuple((max(start, 1), end) for start, end in spans if end > max(start, 1))
        if kept:
            yield Passage(ids=ids, spans=kept, text=text)


def places_of(passages: Sequence[Passage]) -> ScoredPlaces:
    """Where the scored tokens of these passages stand, in order."""
    texts, spans, positions, depths = [], [], [], []
    number = 0
    for passage in passages:
        for start, end in passage.spans:
            size = end - start
            texts.append(np.full(size, passage.text))
            spans.append(np.full(size, number))
            positions.append(np.arange(size))
            depths.append(np.arange(start, end))
            number += 1
    return ScoredPlaces(text=_joined(texts), span=_joined(spans), position=_joined(positions), depth=_joined(depths))


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
