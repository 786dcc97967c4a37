"""Fetching a registered model: choose a file, check the disk, download, verify, and only then make it available."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from nightjar.config.errors import HubError, ModelFileError, OutputError
from nightjar.workers.library.digests import DigestCache, sha256
from nightjar.workers.library.editing import update_entry
from nightjar.workers.library.gguf.metadata import read_metadata
from nightjar.workers.library.hub import Hub, Listing, part_of
from nightjar.workers.library.hub_answers import check_digests
from nightjar.workers.library.manifest import FILE_NAME, Manifest, PulledFile, read_manifest, write_manifest
from nightjar.workers.library.partial import CACHE, TOTAL, note_total, pulling
from nightjar.workers.library.quants import QuantFile, RemoteFile, choose_quant
from nightjar.workers.library.registry import RegistryEntry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

SPARE_BYTES = 256 * 2**20
"""Space that is left free on the disk for other programs."""
LARGEST_FILE = 50 * 10**9
"""The hub does not serve larger ones over plain HTTP (huggingface_hub, MAX_HTTP_DOWNLOAD_SIZE)."""
_log = structlog.get_logger()


class PullProgress(Protocol):
    """Gets what is fetched; `scripts.progress` has the bar."""

    def start(self, label: str, total_bytes: int) -> None: ...

    def advance(self, count: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A pulled model, now on this machine."""

    manifest: Manifest
    path: Path
    """The first part."""
    fetched: bool
    """False if the model was already here."""


def pull(
    name: str,
    entry: RegistryEntry,
    settings: Settings,
    *,
    progress: PullProgress,
    quantisation: str | None = None,
    room_bytes: int | None = None,
    force: bool = False,
    ask: Callable[[Settings], Hub] = Hub,
) -> Pulled:
    """Fetches a hub model into `models/NAME/` and pins the registry entry to what was fetched.

    Continues an interrupted pull. `room_bytes`: memory that the chosen file should fit. `force` fetches even what is
    here. Raises HubError, UnknownNameError, UsageError, ModelFitError, ModelFileError, OutputError; then nothing in
    the folder looks complete that was not complete before.
    """
    assert entry.repo is not None, "only hub models are pulled"
    folder = settings.models_dir / name
    here = None if force else _here(folder)
    if here is not None and not quantisation and entry.revision in (None, here.manifest.commit):
        return here
    listing = ask(settings).listing(entry.repo, entry.revision)
    pattern = None if quantisation else entry.file
    choice = choose_quant(entry.repo, listing.files, pattern=pattern, quantisation=quantisation, room_bytes=room_bytes)
    if here is not None and here.manifest.commit == listing.commit and _same_files(here.manifest, choice):
        _pin(name, here.manifest, choice, settings)
        return here
    _log.info("model_pull", model=name, repo=entry.repo, commit=listing.commit, file=choice.name, bytes=choice.bytes)
    with pulling(folder, name):
        parts = _fetch(listing, choice, folder, settings, progress, ask(settings))
        manifest = _take_over(name, entry, listing, choice, folder, parts)
    _pin(name, manifest, choice, settings)
    return Pulled(manifest=manifest, path=folder / manifest.files[0].name, fetched=True)


def _here(folder: Path) -> Pulled | None:
    """The model, if it was already pulled and is complete."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    sizes = [(folder / file.name, file.bytes) for file in manifest.files]
    if any(not path.is_file() or path.stat().st_size != size for path, size in sizes):
        return None
    return Pulled(manifest=manifest, path=sizes[0][0], fetched=False)


def _same_files(manifest: Manifest, choice: QuantFile) -> bool:
    return [file.name for file in manifest.files] == [file.name.rpartition("/")[2] for file in choice.files]


def _fetch(
    listing: Listing, choice: QuantFile, folder: Path, settings: Settings, progress: PullProgress, hub: Hub
) -> list[Path]:
    if any(file.bytes > LARGEST_FILE for file in choice.files):
        raise HubError(
            f"{choice.name} of {listing.repo} has a file of {choice.bytes / 1e9:.0f} GB, and the hub serves files "
            f"above {LARGEST_FILE / 1e9:.0f} GB by its own protocol only. Take a split file, or a smaller quantisation."
        )
    check_digests(listing.repo, choice.files)
    check_disk(settings.models_dir, choice.bytes - sum(_have(folder, file) for file in choice.files), listing.repo)
    progress.start(choice.name, choice.bytes)
    try:
        note_total(folder, choice.bytes)
        parts = [hub.fetch(listing, file, folder, progress.advance) for file in choice.files]
        for part in parts:
            read_metadata(part)
    except ModelFileError as error:
        for file in choice.files:
            part_of(folder, file).unlink(missing_ok=True)
        (folder / TOTAL).unlink(missing_ok=True)
        raise HubError(f"{listing.repo} serves {choice.name}, and it cannot be used. {error}") from None
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. Make room, and pull again."
        ) from None
    return parts


def _have(folder: Path, file: RemoteFile) -> int:
    part = part_of(folder, file)
    return part.stat().st_size if part.is_file() else 0


def check_disk(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises OutputError, with the numbers, if the disk of `folder` does not have room for that many bytes."""
    free = shutil.disk_usage(_existing(folder)).free
    if needed_bytes + SPARE_BYTES > free:
        raise OutputError(
            f"There is no room for {what}: {needed_bytes / 1e9:.2f} GB are still to be written to {folder}, "
            f"{SPARE_BYTES / 1e9:.2f} GB are kept free, and the disk has {free / 1e9:.2f} GB. Nothing was fetched. "
            "Free some with `nightjar cleanup`, take a smaller file with --quant, or set NIGHTJAR_MODELS_DIR."
        )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _take_over(
    name: str, entry: RegistryEntry, listing: Listing, choice: QuantFile, folder: Path, parts: list[Path]
) -> Manifest:
    """Gives the fetched parts their names and writes the manifest last; until then the model does not exist."""
    old = read_manifest(folder)
    (folder / FILE_NAME).unlink(missing_ok=True)
    files = []
    for part, file in zip(parts, choice.files, strict=True):
        target = folder / file.name.rpartition("/")[2]
        os.replace(part, target)
        files.append(PulledFile(name=target.name, bytes=file.bytes, sha256=file.sha256 or sha256([target])))
    manifest = Manifest(
        name=name,
        repo=listing.repo,
        revision=entry.revision,
        commit=listing.commit,
        files=tuple(files),
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(folder, manifest)
    for stale in {file.name for file in (old.files if old else ())} - {file.name for file in files}:
        (folder / stale).unlink(missing_ok=True)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    (folder / TOTAL).unlink(missing_ok=True)
    return manifest


def _pin(name: str, manifest: Manifest, choice: QuantFile, settings: Settings) -> None:
    """Records in the registry exactly what was fetched, so that another host gets the same bytes."""
    folder = settings.models_dir / name
    cache = DigestCache(settings.home / "digests.json")
    paths = [folder / file.name for file in manifest.files]
    if len(paths) == 1:
        cache.remember(paths[0], manifest.files[0].sha256)
    pinned = {"file": choice.name, "revision": manifest.commit, "sha256": cache.digest(paths)}
    update_entry(settings.models_file, name, pinned)
