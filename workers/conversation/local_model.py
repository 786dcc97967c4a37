"""A model loaded into this process, as `ServedModel`: what `LocalReplier` and `LocalEmbedder` share."""

from __future__ import annotations

from nightjar.jobs.models import LoadFacts, ModelFacts
from nightjar.workers.engine.request import Engine, EngineStats


class LocalModel:
    """An engine's facts, counters and end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def facts(self) -> ModelFacts:
        return self.engine.facts

    @property
    def load(self) -> LoadFacts:
        return self.engine.load

    def stats(self) -> EngineStats:
        return self.engine.stats()

    async def close(self) -> None:
        await self.engine.close()
