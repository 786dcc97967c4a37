"""The backlogs that a worker with `--model auto` chooses from: waiting jobs, and what this host could load for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError
from nightjar.jobs.backlog import Waiting
from nightjar.jobs.live.places import ModelWanted
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.workers.library.find import find_model
from nightjar.workers.library.fit.estimate import memory_on_cpu
from nightjar.workers.library.fit.fit import CPU_UBATCH, context_of
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file, kind_of
from nightjar.workers.library.registry import read_registry
from nightjar.workers.process.choose_model import Backlog

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

OVERHEAD = 1.15
"""On the size of a file that is not here yet: KV of a slot and scratch."""


@dataclass(frozen=True, kw_only=True)
class Loadable:
    """What this host knows of a model by its own files."""

    kind: ModelKind | None
    memory_bytes: int | None
    tags: tuple[str, ...]


def loadable(model: str, facts: ModelFacts | None, settings: Settings) -> Loadable:
    """What loading the model takes here, with one slot; None where it is not here and may not be fetched."""
    entry = read_registry(settings.models_file).models.get(model)
    tags = entry.tags if entry else ()
    kind = facts.kind if facts else None
    try:
        model_entry = find_model(model, settings)
        if model_entry.remote is not None:  # paid for, perhaps: only where somebody asked for it
            needed = 0 if settings.remote.auto else None
            if needed is not None and (chain := model_entry.chain) is not None:
                return _held(chain.compress.path, kind, model_entry.load.context, chain.compress.template, tags)
            return Loadable(kind=model_entry.remote.kind, memory_bytes=needed, tags=tags)
        return _held(model_entry.path, kind, model_entry.load.context, model_entry.template, tags)
    except NightjarError:
        pass
    fetchable = entry is not None and entry.repo is not None and settings.pull_on_use and not settings.offline
    size = int(facts.file.file_bytes * OVERHEAD) if facts is not None and facts.file and fetchable else None
    return Loadable(kind=kind, memory_bytes=size, tags=tags)


def backlogs(
    waiting: Mapping[str, Waiting],
    here: Mapping[str, Loadable],
    others: Mapping[str, int],
    failures: Mapping[str, str],
    wanted: Mapping[str, ModelWanted] = MappingProxyType({}),
) -> list[Backlog]:
    """One backlog for each model with jobs. `others`: workers of each model besides the one that chooses."""
    return [
        Backlog(
            model=model,
            waiting=jobs.due,
            kind=here[model].kind,
            tags=here[model].tags,
            memory_bytes=here[model].memory_bytes,
            workers=max(0, others.get(model, 0)),
            failure=failures.get(model),
            pinned=model in wanted and wanted[model].pinned,
            live=model in wanted and wanted[model].live,
            asking=model in wanted and wanted[model].asking,
        )
        for model, jobs in waiting.items()
    ]


def _held(
    path: Path, kind: ModelKind | None, context: int | None, template: str | None, tags: tuple[str, ...]
) -> Loadable:
    metadata = inspect_file(path).metadata
    shape = shape_of(metadata)
    tokens = context_of(context, shape.context_train)
    needed = memory_on_cpu(shape, context=tokens, slots=1, n_ubatch=CPU_UBATCH).total
    own = kind_of(metadata, path.name, template or metadata.values.get("tokenizer.chat_template"))
    return Loadable(kind=kind or own, memory_bytes=needed, tags=tags)
