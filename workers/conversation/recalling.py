"""Plans a turn with policy recall: what was left out is embedded, and `recall.py` decides what is quoted."""

from __future__ import annotations

from functools import partial

from nightjar.config.errors import ModelError
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.conversation.plan import Asked, PromptPlan, plan_quoting, plan_window
from nightjar.workers.conversation.prompts import exchange_of
from nightjar.workers.conversation.recall import (
    FloatVector,
    LeftOutExchange,
    nearest_exchanges,
    quotation,
    recalled_text,
)
from nightjar.workers.conversation.summaries import Think

NO_EMBEDDER = (
    "Policy recall finds earlier exchanges with a small embedding model, and none can be used on this host: "
    "`memory_model` is not set, or names one that cannot be loaded (the worker's log says why). Name another one, or "
    "set another policy."
)


class Quoting:
    """What one conversation has said, by meaning. Every exchange is embedded once."""

    def __init__(self, embedder: TextEmbedder | None, think: Think) -> None:
        self._embedder = embedder
        self._think = think
        self._vectors: dict[int, FloatVector] = {}

    async def plan_turn(self, asked: Asked) -> tuple[PromptPlan, str | None]:
        """The turn's plan, and the digest of the model that chose what is recalled; None where there was no choice.

        Raises ModelError without an embedder, and what `plan_prompt` raises.
        """
        if self._embedder is None:
            raise ModelError(NO_EMBEDDER)
        window = await self._think(partial(plan_window, asked))
        texts = {record.index: _quoted(asked, record) for record in recallable(asked, window)}
        if not texts:
            return window, None
        exchanges = await self._embed(self._embedder, texts, asked)
        [query] = await self._embedder.embed([window.prompt])
        plan = await self._think(partial(recall_into, asked, window, query, exchanges))
        return plan, self._embedder.facts.digest

    async def _embed(self, embedder: TextEmbedder, texts: dict[int, str], asked: Asked) -> list[LeftOutExchange]:
        new = [turn for turn in texts if turn not in self._vectors]
        if new:
            vectors = await embedder.embed([texts[turn] for turn in new])
            self._vectors.update(zip(new, vectors, strict=True))
        sizes = await self._think(lambda: {turn: _size(asked, "\n\n" + text) for turn, text in texts.items()})
        return [LeftOutExchange(turn=turn, vector=self._vectors[turn], tokens=sizes[turn]) for turn in texts]


def recallable(asked: Asked, window: PromptPlan) -> list[TurnRecord]:
    """The turns that were left out and have something to say."""
    return [record for record in asked.history if record.index in window.dropped_turns and not record.draw.empty]


def recall_into(asked: Asked, window: PromptPlan, query: FloatVector, exchanges: list[LeftOutExchange]) -> PromptPlan:
    """The prompt of `window` with as many of the nearest exchanges as the declared share and the context hold."""
    budget = min(asked.recalled_most, asked.most - len(window.ids)) - _size(asked, recalled_text(()) + "\n\n")
    chosen = nearest_exchanges(query, exchanges, budget)
    plan = plan_quoting(asked, window, chosen)
    while not plan.fits and chosen:  # tokens of joined texts may be a few more than those of their parts
        chosen = chosen[:-1]
        plan = plan_quoting(asked, window, chosen)
    return plan


def _quoted(asked: Asked, record: TurnRecord) -> str:
    return quotation(*exchange_of(asked.conversation, record, asked.compression))


def _size(asked: Asked, text: str) -> int:
    return len(asked.conversation.tokenizer.tokenize(text, parse_special=False))
