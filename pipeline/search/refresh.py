"""Keeps the search index up to date by itself: what ended is embedded while nothing is at work."""

from __future__ import annotations

import structlog

from nightjar.config.errors import ModelError, ModelFileError, UnknownNameError
from nightjar.jobs.leases import hold
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.text_embedder import EmbedderOpener, TextEmbedder
from nightjar.jobs.search.unindexed import find_unindexed, is_quiet
from nightjar.pipeline.search.index import index_texts

AT_ONCE = 10
"""Conversations between two looks whether something is at work."""
MOST = 2_000
"""Conversations; more are work for jobs, and begun by a person (`nightjar search --index`)."""
LEASE_S = 60.0
_log = structlog.get_logger()


class IndexRefresher:
    """For one dispatcher, on a host with a small embedder. Of several, one works at a time."""

    def __init__(self, opener: EmbedderOpener, name: str, database: Database) -> None:
        self._opener = opener
        self._name = name
        self._database = database
        self._given_up = False

    async def refresh(self) -> int:
        """Embeds what is missing, and stops where a run begins; how many conversations were indexed.

        A model that cannot be used is reported once and not asked again.
        """
        if self._given_up or not await is_quiet(self._database):
            return 0
        try:
            async with self._opener("The search index") as embedder:
                return await self._refresh(embedder)
        except (ModelError, ModelFileError, UnknownNameError) as error:
            self._given_up = True
            _log.warning("search_index_not_refreshed", error=str(error))
            return 0

    async def _refresh(self, embedder: TextEmbedder) -> int:
        model, done = embedder.facts.digest, 0
        async with hold(f"search:{model[:16]}", self._name, LEASE_S, self._database) as mine:
            if not mine:
                return 0
            unindexed = await find_unindexed(model, self._database)
            if unindexed.count > MOST:
                return 0
            while (part := unindexed.take(AT_ONCE)) and await is_quiet(self._database):
                await index_texts(part, embedder, self._database)
                done += part.count
        if done:
            _log.info("search_index_refreshed", conversations=done, model=embedder.facts.name)
        return done
