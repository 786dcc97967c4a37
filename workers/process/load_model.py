"""What a worker process is asked to serve, and how it gets it into memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog
from pydantic import SecretStr

from nightjar.config.errors import ModelError, ModelFitError, NightjarError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs.models import ModelFacts, ModelKind, SpeedProbe
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.conversation.local_embedder import LocalEmbedder
from nightjar.workers.conversation.replier import Embedder, Replier
from nightjar.workers.embedder.client import open_embedder
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Engine
from nightjar.workers.engine.speed import best_slots
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.fit.fallback import kept_words, smaller
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.process.stored_summaries import StoredSummaries

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options of a worker process."""

    model: str
    """Name or path."""
    gpu: str | None = None
    """UUID, or "none" for the CPU; the environment is already pinned to it. None means whatever llama.cpp finds."""
    load: Mapping[str, Any] = field(default_factory=dict)
    """Load settings that override the registry's."""
    live: int = 0
    """Slots kept for live jobs."""
    burst: bool = False
    """End when no working run has a job for the model any more."""
    probe: bool | None = None
    """Measure the model's speed again, after the work or while idle. None: only where it is not known yet; False:
    never."""
    speed: SpeedProbe | None = None
    """What is known of it from earlier."""
    progress: LoadProgress = field(default_factory=LoadProgress)
    """Is told how far the load is."""
    started_ms: int
    """The last part of the worker's id, chosen by the supervisor so that it knows the id too."""
    name: str | None = None
    """What the model is called, where that is not what its path alone says."""

    def wanted(self, entry: ModelEntry) -> LoadSettings:
        """How the model is to be loaded."""
        return entry.load.model_copy(update=dict(self.load))


Loader = Callable[[ModelEntry, WorkerOptions, Settings], Awaitable[Replier | Embedder]]
"""Makes what the worker serves. Raises NightjarError if it cannot."""


async def load_local(entry: ModelEntry, options: WorkerOptions, settings: Settings) -> LocalReplier | LocalEmbedder:
    """Loads the model's file into this process. Raises ModelError."""
    embedder = await _embedder(settings)
    return serving(await load_engine(entry, options, settings), entry, embedder)


def load_remote(
    entry: ModelEntry,
    options: WorkerOptions,
    worker: str,
    settings: Settings,
    database: Database,
    redis: SecretStr,
    *,
    facts: ModelFacts | None = None,
) -> Replier | Embedder:
    """A model at an endpoint; nothing is sent yet. `facts`: where they are more than the registry says.

    Raises ModelError, UsageError.
    """
    if options.load.get("reproducible"):
        raise ModelError(
            f"{entry.name!r} answers at an endpoint, which promises nothing of the kind: no --reproducible."
        )
    try:
        from nightjar.workers.remote.serve import serve_remote
    except ModuleNotFoundError as error:
        if error.name not in ("openai", "httpx2"):
            raise
        raise ModelError(
            f"The model {entry.name!r} answers at an endpoint, which needs the package {error.name}: "
            "pip install 'nightjar-eval[remote]'."
        ) from None
    return serve_remote(entry, worker, settings, database, redis, facts)


async def load_chain(
    entry: ModelEntry, options: WorkerOptions, worker: str, settings: Settings, database: Database, redis: SecretStr
) -> Replier:
    """A model at an endpoint, once it is known that it may be asked, and the one that compresses for it.

    Raises ModelError, UsageError.
    """
    chain, target = entry.chain, entry.remote
    assert chain is not None
    assert target is not None
    facts = await asyncio.to_thread(entry_facts, entry)
    conversations = entry.load.model_copy(update={"slots": target.at.limits.concurrency})
    paid = replace(entry, load=conversations)
    remote = load_remote(paid, options, worker, settings, database, redis, facts=facts)
    from nightjar.workers.remote.chain import ChainReplier
    from nightjar.workers.remote.replier import RemoteReplier

    assert isinstance(remote, RemoteReplier)
    try:
        compress = replace(chain.compress, load=entry.load)
        local = LocalReplier(await load_engine(compress, options, settings), compress)
        local.summaries.store = StoredSummaries(database=database)
    except BaseException:
        await remote.close()
        raise
    return ChainReplier(remote, local, chain.budget)


def serving(engine: Engine, entry: ModelEntry, embedder: TextEmbedder | None = None) -> LocalReplier | LocalEmbedder:
    """A loaded engine as what its kind of model does: reply, with the host's small embedder at hand, or embed."""
    return LocalEmbedder(engine) if engine.facts.kind is ModelKind.EMBEDDING else LocalReplier(engine, entry, embedder)


async def _embedder(settings: Settings) -> TextEmbedder | None:
    """The host's small embedder, whose process starts with its first text; None where there is none to be had."""
    if settings.memory_model is None:
        return None
    try:
        return await open_embedder(settings, "Policy recall")
    except NightjarError as error:
        _log.warning("memory_model_not_usable", error=str(error))
        return None


async def load_engine(entry: ModelEntry, options: WorkerOptions, settings: Settings) -> Engine:
    """Reads the file's facts, hashing it the first time, and loads it with llama.cpp.

    If there is too little memory, it tries again with what is automatic made smaller. Raises ModelError.
    """
    facts = await asyncio.to_thread(entry_facts, entry)
    wanted, speed = options.wanted(entry), options.speed
    engine = await load_fitting(
        partial(
            load,
            entry.path,
            facts=facts,
            gpu=options.gpu,
            adapters=entry.adapters,
            auto_slots=best_slots(speed.by_slots) if speed is not None and not speed.busy else None,
            progress=options.progress,
        ),
        wanted,
        facts.file_facts.context_train,
    )
    if speed is not None:
        engine.load = engine.load.model_copy(update={"probe": speed.with_slots(engine.load.slots)})
    return engine


async def load_fitting(
    how: Callable[..., Awaitable[BatchEngine]], wanted: LoadSettings, context_train: int
) -> BatchEngine:
    """The engine that `how(settings=...)` loads, with smaller settings where the wanted ones do not fit.

    What a person set is kept. Raises ModelFitError where nothing fits that leaves it so; ModelError.
    """
    try:
        return await how(settings=wanted)
    except ModelFitError as error:
        refusal = error
    for attempt in smaller(wanted, context_train):
        try:
            engine = await how(settings=attempt.settings)
        except ModelFitError:
            continue
        _log.warning("model_loaded_smaller", given_up=", ".join(attempt.given_up), reason=str(refusal))
        engine.load = engine.load.model_copy(update={"given_up": attempt.given_up})
        return engine
    raise ModelFitError(f"{refusal}{kept_words(wanted)}") from refusal
