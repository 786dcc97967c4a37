"""What all models at endpoints share: facts, counters and end."""

from __future__ import annotations

import structlog

from nightjar.jobs.answer_names import AnswerName
from nightjar.jobs.documents import Run
from nightjar.jobs.models import LoadFacts, ModelFacts
from nightjar.jobs.remote_models import Price, RemoteFacts, TokenUse
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.remote.answers import GrowingAnswer, changed_names
from nightjar.workers.remote.caller import EndpointCaller
from nightjar.workers.remote.client import EndpointClient

_log = structlog.get_logger()


class RemoteModel:
    """What `RemoteReplier` and `RemoteEmbedder` share: facts, counters and end."""

    def __init__(self, entry: ModelEntry, facts: ModelFacts, client: EndpointClient, caller: EndpointCaller) -> None:
        assert entry.remote is not None
        self.entry = entry
        self.target = entry.remote
        self.client = client
        self.caller = caller
        self.slots = entry.load.slots if isinstance(entry.load.slots, int) else self.target.at.limits.concurrency
        self.holding: set[str] = set()
        self._facts = facts
        self._seen: list[str | None] = []
        self._prompt_tokens = self._reply_tokens = self._done = 0

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    @property
    def remote(self) -> RemoteFacts:
        assert self._facts.remote is not None
        return self._facts.remote

    @property
    def load(self) -> LoadFacts:
        return LoadFacts(
            device=f"endpoint {self.target.endpoint}: {self.target.at.host}",
            offloaded_layers=0,
            context=self.target.context or 0,
            slots=self.slots,
            n_batch=0,
            n_ubatch=0,
            threads=0,
            flash_attention=False,
            cache_type_k="none",
            cache_type_v="none",
            llama_cpp_build="none",
            llama_cpp_python="none",
            grammar_engine="none",
            load_s=0.0,
        )

    def stats(self) -> EngineStats:
        """Every request has time limits of its own, so that what is held makes progress."""
        return EngineStats(
            slots=self.slots,
            slots_used=len(self.holding),
            holding=frozenset(self.holding),
            prefill_tokens=self._prompt_tokens,
            decode_tokens=self._reply_tokens,
            requests_done=self._done,
            paused=None if self.caller.paused is None else f"{self.target.endpoint} is paused: {self.caller.paused}",
            refused=self.caller.refused,
        )

    async def probe(self) -> None:
        """A speed measured here would be the network's, too: turns are timed as seen from here."""

    async def look_again(self) -> None:
        """See `Pausing`."""
        await self.caller.look_again()

    async def close(self) -> None:
        await self.client.close()
        await self.caller.close()

    def price(self, run: Run) -> Price | None:
        """The run's, which was frozen when its first worker began."""
        for model in (*run.models, *run.helpers):
            if model.name == self.facts.name and model.facts is not None and model.facts.remote is not None:
                return model.facts.remote.price
        return self.remote.price

    def count(self, use: TokenUse) -> None:
        self._prompt_tokens += use.prompt
        self._reply_tokens += use.reply
        self._done += 1

    def name_of(self, answer: GrowingAnswer) -> AnswerName:
        """As the ledger keeps it."""
        return AnswerName(asked=self.target.model, model=answer.model, fingerprint=answer.fingerprint)

    def watch_names(self, answer: GrowingAnswer) -> None:
        """Says once for each new name that answers come under another name than before, or than was asked for."""
        name = answer.model and f"{answer.model} {answer.fingerprint or ''}".strip()
        if name in self._seen:
            return
        if changed_names(self._seen, name):
            _log.warning("remote_model_changed", model=self.facts.name, now=name, before=self._seen[-1])
        elif answer.model not in (None, self.target.model):
            _log.warning("remote_model_named_otherwise", model=self.facts.name, now=name, asked=self.target.model)
        self._seen.append(name)
