"""Policies by nearest prompts, asked for a live request: its vector comes from the host's small embedder."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.routing.evidence import routing_evidence_of
from nightjar.jobs.routing.policies import RoutingPolicy
from nightjar.pipeline.routing.nearest import NearestPrompts, check_policy_embedder, choose_by_nearest, prompts_of
from nightjar.workers.embedder.client import SmallEmbedder, open_embedder

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

PATIENCE_S = 10.0
"""The first request waits while the embedding model is loaded; longer than this none waits."""
KEPT = 2
"""Policies whose prompts are kept in memory: a few megabytes each."""
LONGEST_REASON = 300
"""Characters of a reason, which goes into a header."""
_log = structlog.get_logger()


@dataclass(kw_only=True)
class NearestPolicies:
    """Their evidence, and the embedder, which is opened by the first request and kept."""

    settings: Settings
    _embedder: SmallEmbedder | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _prompts: OrderedDict[str, NearestPrompts] = field(default_factory=OrderedDict)

    async def choose(self, policy: RoutingPolicy, prompt: str) -> tuple[str, str]:
        """(model, reason) for a conversation that begins so; the default, and why, where that cannot be said."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                embedder = await self._opened()
                check_policy_embedder(policy, embedder.facts)
                prompts = await self._evidence(policy)
                [vector] = await embedder.embed([prompt])
            return await asyncio.to_thread(choose_by_nearest, prompts, vector)
        except TimeoutError:
            return self._unknown(policy, f"its vector was not there within {PATIENCE_S:.0f} s")
        except UsageError as error:
            return self._unknown(policy, str(error))
        except (NightjarError, OSError) as error:
            _log.warning("request_without_vector", policy=policy.id, error=str(error))
            unset = self.settings.memory_model is None
            why = "`memory_model` is not set here" if unset else "the small embedder cannot be asked; the log says why"
            return self._unknown(policy, why)

    def _unknown(self, policy: RoutingPolicy, why: str) -> tuple[str, str]:
        return policy.default, f"default: no vector: {' '.join(why.split())[:LONGEST_REASON]}"

    async def _opened(self) -> SmallEmbedder:
        async with self._opening:
            if self._embedder is None:
                self._embedder = await open_embedder(self.settings, "A router by nearest prompts")
            return self._embedder

    async def _evidence(self, policy: RoutingPolicy) -> NearestPrompts:
        assert policy.nearest is not None
        if (known := self._prompts.get(policy.id)) is not None and known.rule == policy.nearest:
            self._prompts.move_to_end(policy.id)
            return known
        evidence = await routing_evidence_of(policy)
        prompts = await asyncio.to_thread(prompts_of, policy.nearest, evidence, policy.default)
        self._prompts[policy.id] = prompts
        while len(self._prompts) > KEPT:
            self._prompts.popitem(last=False)
        return prompts

    async def close(self) -> None:
        """Leaves the embedder. Idempotent."""
        embedder, self._embedder = self._embedder, None
        if embedder is not None:
            await embedder.close()
