"""The host's small embedding model (`memory_model`): which file it is, and what memory it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nightjar.config.errors import ModelError, NightjarError
from nightjar.jobs.models import ModelKind
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.library.fit.curated import curated_list
from nightjar.workers.library.fit.estimate import memory_on_cpu
from nightjar.workers.library.fit.fit import MAX_SLOTS_CPU, Room, context_of
from nightjar.workers.library.fit.hardware import room_of, this_machine
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file, kind_of

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

SLOTS = MAX_SLOTS_CPU
"""Texts in one call of the small embedder."""
BATCH = 512
"""Tokens in one call."""


def find_memory_model(settings: Settings, needed_by: str) -> ModelEntry:
    """The model that `memory_model` names, as it is loaded: on the CPU.

    `needed_by`: what cannot be had without it, for the message. Raises ModelError where none is set, or it generates
    text; UnknownNameError; ModelFileError.
    """
    if settings.memory_model is None:
        raise ModelError(f"{needed_by} needs a small embedding model, and `memory_model` is not set. {_remedy()}")
    entry = find_model(settings.memory_model, settings)
    metadata = inspect_file(entry.path).metadata
    if kind_of(metadata, entry.path.name, entry.template) is not ModelKind.EMBEDDING:
        raise ModelError(
            f"{entry.name!r} generates text, and {needed_by} needs an embedding model (`memory_model`). {_remedy()}"
        )
    # `[model] context` is for models that write: an embedding model may not have so many positions.
    load = entry.load.model_copy(update={"slots": SLOTS, "n_batch": BATCH, "gpu_layers": 0, "context": None})
    return replace(entry, load=load)


def memory_model_bytes(settings: Settings) -> int:
    """What the small embedder takes of this host's memory, running or not; 0 where none can be loaded."""
    if settings.memory_model is None:
        return 0
    try:
        entry = find_memory_model(settings, "the small embedder")
        shape = shape_of(inspect_file(entry.path).metadata)
    except NightjarError:
        return 0
    context = context_of(entry.load.context, shape.context_train)
    return memory_on_cpu(shape, context=context, slots=SLOTS, n_ubatch=max(BATCH, context)).total


def room_here(settings: Settings) -> Room:
    """Memory for a model on this machine, without what the small embedder takes."""
    room = room_of(this_machine())
    return replace(room, host=max(0, room.host - memory_model_bytes(settings)))


def _remedy() -> str:
    smallest = min(
        (model for model in curated_list().models if "embedding" in model.best_for), key=lambda model: model.parameters
    )
    return (
        f"Fetch one, `nightjar model pull {smallest.repo}` ({smallest.note}), and set NIGHTJAR_MEMORY_MODEL, or "
        "`memory_model` in nightjar.toml, to the name that it says."
    )
