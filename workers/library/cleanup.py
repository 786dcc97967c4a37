"""What can be deleted: unfinished downloads, files that belong to no model, long unused models, old logs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from nightjar.config.embedded import status
from nightjar.config.errors import ModelFileError
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.library.inventory import Held, ModelState
from nightjar.workers.library.manifest import FILE_NAME, read_manifest
from nightjar.workers.library.partial import CACHE, is_downloading
from nightjar.workers.library.registry import read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item to delete: a file or folder of Nightjar's."""

    path: Path
    bytes: int
    why: str
    model: str | None = None
    """The model that the files belong to. Its registry entry stays, and a pulled model can be fetched again."""


def plan_cleanup(
    settings: Settings,
    held: Iterable[Held],
    *,
    now: datetime,
    unused_days: int | None = None,
    log_days: int = 14,
) -> list[Item]:
    """What would be deleted. Models loaded or being downloaded are left alone, and logs that are
    being written.

    Files of models go only with `unused_days`, and only those that can be downloaded again.
    """
    rows = list(held)
    items = [*_partial(settings), *_stray(settings)]
    if unused_days is not None:
        items += _unused(settings, rows, now - timedelta(days=unused_days))
    return [*items, *_logs(settings.home / "logs", now - timedelta(days=log_days), _written(settings))]


def clear(items: Iterable[Item], settings: Settings) -> None:
    """Deletes the planned items; one that no longer exists is not an error."""
    digests = DigestCache(settings.home / "digests.json")
    for item in items:
        if item.path.is_dir():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            digests.forget(item.path)
            item.path.unlink(missing_ok=True)


def _partial(settings: Settings) -> Iterator[Item]:
    """Download caches of models that are not being downloaded now."""
    for folder in _folders(settings.models_dir):
        cache = folder / CACHE
        if cache.is_dir() and not is_downloading(folder):
            yield Item(path=cache, bytes=_size(cache), why=f"unfinished download of {folder.name}")


def _stray(settings: Settings) -> Iterator[Item]:
    """Model files in a pulled model's folder that its manifest does not name, and empty folders of unknown models."""
    known = read_registry(settings.models_file).models
    for folder in _folders(settings.models_dir):
        if is_downloading(folder):
            continue
        try:
            manifest = read_manifest(folder)
        except ModelFileError:
            continue
        if manifest is None:
            names = {item.name for item in folder.iterdir()}
            if folder.name not in known and CACHE not in names and all(name.startswith(".") for name in names):
                yield Item(path=folder, bytes=_size(folder), why="an empty model folder")
            continue
        named = {file.name for file in manifest.files}
        for file in folder.glob("*.gguf"):
            if file.name not in named:
                yield Item(path=file, bytes=file.stat().st_size, why=f"not part of {manifest.name} as it was pulled")


def _unused(settings: Settings, held: list[Held], before: datetime) -> Iterator[Item]:
    for row in held:
        folder = settings.models_dir / row.name
        if row.state is not ModelState.READY or row.path is None or not (folder / FILE_NAME).is_file():
            continue
        used = row.last_used or datetime.fromtimestamp((folder / FILE_NAME).stat().st_mtime, before.tzinfo)
        if used < before:
            size = sum(part.stat().st_size for part in parts_of(row.path))
            yield Item(path=folder, bytes=size, why=f"{row.name}, not used since {used:%Y-%m-%d}", model=row.name)


def _written(settings: Settings) -> set[Path]:
    """Logs of servers that run, and whatever a process of this user has open: what is deleted then is lost unseen."""
    written = {server.log.resolve() for server in status(settings, every=True) if server.pid is not None}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            written |= {Path(file.path) for file in process.open_files()}
    return written


def _logs(folder: Path, before: datetime, written: set[Path]) -> Iterator[Item]:
    for file in sorted(folder.glob("*.log*")):
        if file.resolve() not in written and datetime.fromtimestamp(file.stat().st_mtime, before.tzinfo) < before:
            yield Item(path=file, bytes=file.stat().st_size, why="an old log")


def _folders(models_dir: Path) -> list[Path]:
    return sorted(path for path in models_dir.iterdir() if path.is_dir()) if models_dir.is_dir() else []


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
