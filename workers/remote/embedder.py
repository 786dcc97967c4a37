"""Embeddings of a model at an endpoint, as a worker serves them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nightjar.config.errors import ModelError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.remote_models import TokenUse
from nightjar.workers.conversation.replier import Embedding
from nightjar.workers.remote.caller import CallSize, Payer
from nightjar.workers.remote.model import RemoteModel
from nightjar.workers.remote.texts import estimate_text

TEXTS_AT_ONCE = 64


class RemoteEmbedder(RemoteModel):
    """An `Embedder` at an endpoint."""

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Raises ModelError: see `on_behalf_of`."""
        raise ModelError(f"{self.facts.name!r} may cost money: it embeds on behalf of a run's jobs alone.")

    def on_behalf_of(self, job: Job, run: Run) -> PayingEmbedder:
        """See `PaidEmbedder.on_behalf_of`."""
        return PayingEmbedder(self, Payer(job=job, run=run, name="embed"))

    async def embed_for(self, payer: Payer, texts: Sequence[str]) -> list[Embedding]:
        """See `Embedder.embed`; every request is entered in the ledger."""
        embeddings: list[Embedding] = []
        request = f"{payer.job.id}.{payer.job.fence}.embed"
        self.holding.add(request)
        try:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                part = [text.strip() for text in texts[start : start + TEXTS_AT_ONCE]]
                embeddings += await self._embed(part, payer, start)
        finally:
            self.holding.discard(request)
        return embeddings

    async def _embed(self, texts: Sequence[str], payer: Payer, start: int) -> list[Embedding]:
        about = sum(map(estimate_text, texts))
        vectors: list[list[float]] = []
        use = TokenUse(prompt=about, reply=0, estimated=True)

        async def send() -> None:
            nonlocal vectors, use
            vectors, said = await self.client.embed(self.target.model, texts)
            use = said or use

        most = TokenUse(prompt=64 + 2 * about, reply=0, estimated=True)
        named = Payer(job=payer.job, run=payer.run, name=f"{payer.name}.{start}")
        await self.caller.call(named, CallSize(most=most, about_tokens=about), self.price(payer.run), send, lambda: use)
        self.count(use)
        return [Embedding(vector=_unit(vector)) for vector in vectors]


class PayingEmbedder:
    """An `Embedder` for one job, which pays."""

    def __init__(self, model: RemoteEmbedder, payer: Payer) -> None:
        self._model = model
        self._payer = payer

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """See `Embedder.embed`."""
        return await self._model.embed_for(self._payer, texts)


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    if not length:
        raise ModelError("The endpoint gave an embedding that is zero.")
    return [value / length for value in vector]
