"""Removes a model: its registry entry, and its files if Nightjar fetched them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import ModelError, UnknownNameError
from nightjar.workers.library import usage
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.editing import remove_entry
from nightjar.workers.library.find import shelf_files
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.library.inventory import Held, ModelState
from nightjar.workers.library.manifest import FILE_NAME
from nightjar.workers.library.partial import is_downloading
from nightjar.workers.library.registry import NAME, read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What was removed, and what was kept."""

    from_registry: bool
    deleted: tuple[Path, ...]
    kept: tuple[Path, ...]


def remove_model(name: str, held: Held | None, settings: Settings, *, keep_file: bool) -> Removed:
    """Removes the model. Files outside `models/` are never deleted. Raises ModelError while it is in use."""
    folder = settings.models_dir / name
    if held is None:
        registry = read_registry(settings.models_file)
        raise UnknownNameError("model", name, [*registry.models, *shelf_files(settings.models_dir)])
    if held.state is ModelState.LOADED:
        raise ModelError(f"{name} is loaded by {', '.join(held.loaded_on)}. End those workers, then remove it.")
    if held.state is ModelState.DOWNLOADING or is_downloading(folder):
        raise ModelError(f"{name} is being downloaded. End that command, then remove it.")
    remove_entry(settings.models_file, name)
    usage.forget(settings.home, name)
    files = _files(held)
    ours = [file for file in files if file.resolve().is_relative_to(settings.models_dir.resolve())]
    if keep_file:
        return Removed(from_registry=held.registered, deleted=(), kept=tuple(files))
    for file in ours:
        DigestCache(settings.home / "digests.json").forget(file)
        file.unlink(missing_ok=True)
    if _is_model_folder(folder):
        shutil.rmtree(folder, ignore_errors=True)
    return Removed(
        from_registry=held.registered,
        deleted=tuple(ours),
        kept=tuple(file for file in files if file not in ours),
    )


def _files(held: Held) -> list[Path]:
    if held.path is None or not held.path.exists():
        return []
    try:
        return list(parts_of(held.path))
    except ModelError:  # some parts are missing; the others are removed
        return [held.path]


def _is_model_folder(folder: Path) -> bool:
    """True for a folder made by a pull: with a manifest, or with nothing but our own hidden files."""
    if not folder.is_dir() or not NAME.match(folder.name):
        return False
    return (folder / FILE_NAME).is_file() or all(item.name.startswith(".") for item in folder.iterdir())
