"""Every model this project knows or has, and its state on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import ModelFileError, NightjarError
from nightjar.jobs.models import ModelKind
from nightjar.jobs.status.workers import Serving
from nightjar.workers.library.find import entry_of, entry_path, gguf_files, resolve_path, shelf_files
from nightjar.workers.library.inspect import Inspection, inspect_file, kind_of, quantisation_of
from nightjar.workers.library.names import distinct_names
from nightjar.workers.library.ollama import TAG, find_ollama, ollama_names
from nightjar.workers.library.partial import is_downloading, partial_bytes
from nightjar.workers.library.registry import Registry, RegistryEntry, read_registry
from nightjar.workers.library.usage import last_used

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


class ModelState(StrEnum):
    AVAILABLE = "available"
    """Known, but not on this machine."""
    DOWNLOADING = "downloading"
    READY = "ready"
    """Here, or at an endpoint: whether that answers is not asked."""
    LOADED = "loaded"
    """A worker serves it now."""
    FAILED = "failed"
    """Its file is missing or broken, or a worker could not load it."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """One model as `nightjar model list` shows it."""

    name: str
    state: ModelState
    reason: str | None = None
    kind: ModelKind | None = None
    """None if there is no file to read."""
    source: str
    path: Path | None = None
    file_bytes: int | None = None
    disk_bytes: int = 0
    """Its size under `models/`, including partial downloads; 0 for files elsewhere."""
    quantisation: str | None = None
    last_used: datetime | None = None
    loaded_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    registered: bool = True


@dataclass(frozen=True, kw_only=True)
class _Known:
    name: str
    entry: RegistryEntry | None
    path: Path | None = None
    problem: str | None = None
    folder: Path | None = None
    """Its own folder under `models/`."""
    registered: bool = False


def inventory(settings: Settings, serving: Mapping[str, Serving] | None = None) -> list[Held]:
    """Registry entries and unregistered files under `models/`, by name. `serving`: by model name."""
    known = sorted(_known(settings), key=lambda item: item.name)
    served = serving or {}
    return [_with_serving(_held(item, settings), served.get(item.name)) for item in known]


def folder_inventory(folder: Path, settings: Settings) -> list[Held]:
    """The model files in a folder and below it, under the names that they would have. Raises ModelFileError."""
    if not folder.is_dir():
        raise ModelFileError(f"There is no folder {folder}. Give one that holds .gguf files.")
    registry = read_registry(settings.models_file)
    registered = {
        resolve_path(entry.path, settings).resolve(): name
        for name, entry in registry.models.items()
        if entry.path is not None
    }
    files = list(gguf_files(folder))
    names = distinct_names([path for path in files if path.resolve() not in registered], registry.models)
    rows = []
    for path in files:
        name = registered.get(path.resolve()) or names[path]
        held = _held(_Known(name=name, entry=registry.models.get(name), path=path), settings)
        rows.append(replace(held, source=str(path)))
    if not rows:
        raise ModelFileError(f"{folder} holds no .gguf file.")
    return rows


def _known(settings: Settings) -> Iterator[_Known]:
    registry = read_registry(settings.models_file)
    taken: set[Path] = set()
    for name, entry in registry.models.items():
        folder = settings.models_dir / name
        if entry.endpoint is not None or entry.chain is not None:
            yield _Known(name=name, entry=entry, registered=True)
            continue
        try:
            path = entry_path(name, entry, settings)
        except NightjarError as error:
            yield _Known(name=name, entry=entry, problem=str(error), folder=folder, registered=True)
            continue
        taken.add(path.resolve())
        yield _Known(name=name, entry=entry, path=path, folder=folder, registered=True)
    for name, path in shelf_files(settings.models_dir).items():
        if path.resolve() not in taken and name not in registry.models:
            yield _Known(name=name, entry=None, path=path, folder=settings.models_dir / name)
    yield from _stored_by_ollama(settings, registry)


def _stored_by_ollama(settings: Settings, registry: Registry) -> Iterator[_Known]:
    """Models of the Ollama store that the registry does not know."""
    registered = {entry.ollama for entry in registry.models.values()}
    for name in ollama_names(settings):
        if name in registry.models or {name, name.removesuffix(f":{TAG}")} & registered:
            continue
        entry = RegistryEntry(ollama=name)
        try:
            yield _Known(name=name, entry=entry, path=find_ollama(name, settings).path)
        except NightjarError as error:
            yield _Known(name=name, entry=entry, problem=str(error))


def _held(known: _Known, settings: Settings) -> Held:
    entry = known.entry
    held = Held(
        name=known.name,
        state=ModelState.READY,
        source=entry.source if entry else "models/",
        path=known.path,
        last_used=last_used(settings.home, known.name),
        tags=entry.tags if entry else (),
        registered=known.registered,
        disk_bytes=partial_bytes(known.folder) if known.folder else 0,
    )
    if entry is not None and entry.endpoint is not None:
        return replace(held, kind=entry.kind or ModelKind.CHAT)
    if entry is not None and entry.chain is not None:
        return replace(held, kind=ModelKind.CHAT)
    if known.path is None:
        return _not_here(held, known)
    try:
        inspection = inspect_file(known.path)
        template = entry_of(known.name, entry, settings).template if entry else None
        return _inspected(held, inspection, template, settings)
    except NightjarError as error:
        return replace(held, state=ModelState.FAILED, reason=str(error))


def _not_here(held: Held, known: _Known) -> Held:
    if known.folder is not None and is_downloading(known.folder):
        return replace(held, state=ModelState.DOWNLOADING)
    fetched = known.entry is not None and known.entry.repo is not None
    return replace(held, state=ModelState.AVAILABLE if fetched else ModelState.FAILED, reason=known.problem)


def _inspected(held: Held, inspection: Inspection, template: str | None, settings: Settings) -> Held:
    metadata = inspection.metadata
    inside = inspection.path.resolve().is_relative_to(settings.models_dir.resolve())
    own_template = metadata.values.get("tokenizer.chat_template")
    return replace(
        held,
        kind=kind_of(metadata, inspection.path.name, template or own_template),
        file_bytes=inspection.file_bytes,
        disk_bytes=held.disk_bytes + (inspection.file_bytes if inside else 0),
        quantisation=quantisation_of(metadata).partition(" (")[0],
    )


def _with_serving(held: Held, serving: Serving | None) -> Held:
    if serving is None:
        return held
    used = max((moment for moment in (held.last_used, serving.last_beat) if moment), default=None)
    if serving.workers:
        return replace(held, state=ModelState.LOADED, loaded_on=serving.workers, last_used=used)
    if serving.failure is not None and held.state is ModelState.READY:
        return replace(held, state=ModelState.FAILED, reason=serving.failure, last_used=used)
    return replace(held, last_used=used)
