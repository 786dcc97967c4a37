"""Fetching a picture model from the hub: its encoders and the files that say how they are used, checked and whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightjar.config.errors import HubError, ModelError, ModelFileError, OutputError, UnknownNameError, UsageError
from nightjar.config.files import write_private
from nightjar.workers.library.digests import DigestCache, sha256
from nightjar.workers.library.hub import Hub, Listing
from nightjar.workers.library.hub_answers import check_digests
from nightjar.workers.library.manifest import FILE_NAME
from nightjar.workers.library.partial import CACHE, TOTAL, is_downloading, note_total, partial_bytes, pulling
from nightjar.workers.library.pull import PullProgress, check_disk
from nightjar.workers.library.quants import RemoteFile
from nightjar.workers.library.registry import NAME
from nightjar.workers.photos.picture_model import PictureModel

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

MANIFEST = "picture-model.json"
"""Written last: the model is whole."""
NEEDED = ("vision_model.onnx", "preprocessor_config.json")
FOR_WORDS = ("text_model.onnx", "tokenizer.json", "config.json")
SOMETIMES = ("tokenizer_config.json", "vision_model.onnx_data", "text_model.onnx_data")
SMALL = 100_000_000
"""Bytes of a file that the hub need not give a digest for, because it does not store it by its content."""


class PictureFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    bytes: int
    sha256: str


class PictureManifest(BaseModel):
    """A completely downloaded picture model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    repo: str
    commit: str
    files: tuple[PictureFile, ...] = Field(min_length=1)
    pulled_at: str


@dataclass(frozen=True, kw_only=True)
class PulledPictureModel:
    """A picture model, now on this machine."""

    folder: Path
    manifest: PictureManifest
    takes_words: bool
    fetched: bool
    """False if it was already here."""


def pull_picture_model(
    name: str,
    repo: str,
    settings: Settings,
    *,
    progress: PullProgress,
    revision: str | None = None,
    force: bool = False,
    ask: Callable[[Settings], Hub] = Hub,
) -> PulledPictureModel:
    """Fetches it into `models/NAME/`; continues an interrupted pull.

    Raises HubError, UnknownNameError, UsageError, OutputError; then nothing looks complete that was not before.
    """
    folder = settings.models_dir / name
    here = None if force else read_picture_manifest(folder)
    if here is not None and here.repo == repo and revision in (None, here.commit) and _is_whole(folder, here):
        return _pulled(folder, here, settings, fetched=False)
    if (folder / FILE_NAME).is_file():
        raise UsageError(f"{folder} holds another model. Give this one another name with --name.")
    hub = ask(settings)
    listing = hub.listing(repo, revision)
    files = chosen_files(listing)
    _check(listing, files)
    with pulling(folder, name), _writing(folder):
        total = sum(file.bytes for file in files)
        check_disk(settings.models_dir, total - partial_bytes(folder), repo)
        progress.start(name, total)
        note_total(folder, total)
        parts = [hub.fetch(listing, file, folder, progress.advance) for file in files]
        manifest = _take_over(name, listing, files, folder, parts)
        try:
            pulled = _pulled(folder, manifest, settings, fetched=True)
        except ModelFileError as error:
            raise HubError(f"{repo} serves a picture model that cannot be used here. {error}") from None
        write_private(folder / MANIFEST, manifest.model_dump_json(indent=1))
    return pulled


def chosen_files(listing: Listing) -> list[RemoteFile]:
    """The files of the model. Raises UnknownNameError where the repository holds no picture encoder in ONNX."""
    there = {file.name: file for file in listing.files}
    chosen = [there.get(f"onnx/{name}", there.get(name)) for name in (*NEEDED, *FOR_WORDS, *SOMETIMES)]
    if None in chosen[: len(NEEDED)]:
        raise UnknownNameError(
            "picture model in the repository",
            listing.repo,
            [],
            f"It has to hold {' and '.join(NEEDED)}, the first perhaps in onnx/. `nightjar model recommend "
            "--for photos` names some that do.",
        )
    return [file for file in chosen if file is not None]


def read_picture_manifest(folder: Path) -> PictureManifest | None:
    """None where no picture model was pulled into this folder, or not wholly."""
    try:
        return PictureManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def remove_picture_model(name: str, settings: Settings) -> Path | None:
    """Deletes a picture model that was pulled; the folder that went, None where it is none. Raises ModelError."""
    folder = settings.models_dir / name
    if not NAME.fullmatch(name) or read_picture_manifest(folder) is None:
        return None
    if is_downloading(folder):
        raise ModelError(f"{name} is being downloaded. End that command, then remove it.")
    shutil.rmtree(folder)
    return folder


def picture_folder(settings: Settings) -> Path | None:
    """Where the model that `photo_model` names lies; None where it names none. Raises UnknownNameError."""
    if settings.photo_model is None:
        return None
    named = settings.photo_model
    folder = Path(named) if "/" in named else settings.models_dir / named
    if not folder.is_dir():
        known = sorted(path.parent.name for path in settings.models_dir.glob(f"*/{MANIFEST}"))
        raise UnknownNameError("picture model", named, known, f"Fetch it: nightjar model pull {named}.")
    return folder


def open_picture_model(settings: Settings) -> PictureModel | None:
    """The model that `photo_model` names; None where it names none. Raises ModelFileError, UnknownNameError."""
    folder = picture_folder(settings)
    return None if folder is None else PictureModel(folder, DigestCache(settings.home / "digests.json"))


def _check(listing: Listing, files: Sequence[RemoteFile]) -> None:
    """Raises HubError for a file of which nothing could say that it arrived whole."""
    check_digests(listing.repo, [file for file in files if file.bytes > SMALL or file.name.endswith(".onnx")])


def _is_whole(folder: Path, manifest: PictureManifest) -> bool:
    sizes = [(folder / file.name, file.bytes) for file in manifest.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in sizes)


def _pulled(folder: Path, manifest: PictureManifest, settings: Settings, *, fetched: bool) -> PulledPictureModel:
    digests = DigestCache(settings.home / "digests.json")
    for file in manifest.files:
        digests.remember(folder / file.name, file.sha256)
    model = PictureModel(folder, digests)
    return PulledPictureModel(folder=folder, manifest=manifest, takes_words=model.takes_words, fetched=fetched)


def _take_over(
    name: str, listing: Listing, files: Sequence[RemoteFile], folder: Path, parts: Sequence[Path]
) -> PictureManifest:
    """Gives the fetched parts their names."""
    (folder / MANIFEST).unlink(missing_ok=True)
    taken = []
    for part, file in zip(parts, files, strict=True):
        target = folder / file.name.rpartition("/")[2]
        os.replace(part, target)
        taken.append(PictureFile(name=target.name, bytes=file.bytes, sha256=file.sha256 or sha256([target])))
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    (folder / TOTAL).unlink(missing_ok=True)
    return PictureManifest(
        name=name,
        repo=listing.repo,
        commit=listing.commit,
        files=tuple(taken),
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. Make room, and pull again."
        ) from None
