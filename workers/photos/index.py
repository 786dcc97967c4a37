"""Indexing a folder of photos, and finding one by words, by meaning, or by what it shows."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError, UsageError
from nightjar.config.limited_process import LimitedProcess
from nightjar.jobs.text_embedder import TextEmbedder
from nightjar.workers.photos.find_files import PhotoFile, caption_beside, find_photos, photo_root
from nightjar.workers.photos.picture_model import PHOTOS_EXTRA, PictureModel, checked_vectors
from nightjar.workers.photos.store import PhotoIndex, PhotoRecord, photo_id, read_index, read_indexes, write_index

MEMORY_BYTES = 2 * 2**30
CPU_S, WALL_S = 30.0, 120.0
ANSWER_BYTES = 16_000_000
Vector = npt.NDArray[np.float32]
PhotoProgress = Callable[[int], None]
BATCH = 500
"""Photos that are opened between two times that the index is stored."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What became of a folder."""

    root: str
    photos: int
    opened: int
    """New or changed since the last time."""
    refused: dict[str, str]
    unreadable: tuple[str, ...]
    """Folders below it that may not be read."""


@dataclass(frozen=True, kw_only=True)
class FoundPhoto:
    folder: str
    """Id of the indexed folder."""
    id: str
    path: str
    text: str
    taken: str | None
    similarity: float
    exact: bool
    """Its text holds every word of the question."""


_Photo = tuple[PhotoRecord, Vector | None, Vector | None]
"""With the vectors of its text and of what it shows."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    record: PhotoRecord
    picture: Vector | None
    thumbnail: bytes


def photo_opener() -> LimitedProcess:
    """The process that opens photos; to be closed."""
    return LimitedProcess(
        "nightjar.workers.photos.decode_child",
        memory_bytes=MEMORY_BYTES,
        cpu_s=CPU_S,
        wall_s=WALL_S,
        answer_bytes=ANSWER_BYTES,
    )


async def index_photos(
    folder: Path,
    home: Path,
    embedder: TextEmbedder,
    pictures: PictureModel | None,
    progress: PhotoProgress = lambda done: None,
) -> Indexed:
    """Opens what is new or changed in the folder, and forgets what is gone.

    It is stored every `BATCH` photos: interrupted, the next call does the rest. Raises UsageError for a folder that
    cannot be read, ModelError, and as the embedder does.
    """
    root = photo_root(folder)
    unreadable: list[str] = []
    files = await asyncio.to_thread(lambda: list(find_photos(root, unreadable)))
    former = await asyncio.to_thread(read_index, home, str(root))
    known = _known(former, embedder.facts.digest, pictures)
    kept = await asyncio.to_thread(lambda: {file.place: known[file.place] for file in files if _unchanged(file, known)})
    new = [file for file in files if file.place not in kept]
    refused: dict[str, str] = {}
    opened = 0
    opener = photo_opener()
    try:
        for start in range(0, max(1, len(new)), BATCH):
            thumbnails: dict[str, bytes] = {}
            for done, file in enumerate(new[start : start + BATCH], start=start + 1):
                found = await asyncio.to_thread(_open, opener, str(root), file, pictures)
                progress(done)
                if isinstance(found, str):
                    refused[file.place] = found
                    continue
                opened += 1
                kept[file.place] = (found.record, None, found.picture)
                thumbnails[found.record.id] = found.thumbnail
            await _embed(kept, embedder)
            ordered = [kept[file.place] for file in files if file.place in kept]
            index = PhotoIndex(
                root=str(root),
                text_model=embedder.facts.digest,
                picture_model=None if pictures is None else pictures.digest,
                records=tuple(record for record, *_ in ordered),
                texts=checked_vectors([text for _, text, _ in ordered]),
                pictures=checked_vectors([picture for *_, picture in ordered]),
                refused=refused,
            )
            await asyncio.to_thread(write_index, home, index, thumbnails)
    finally:
        opener.close()
    return Indexed(root=str(root), photos=len(kept), opened=opened, refused=refused, unreadable=tuple(unreadable))


async def _embed(photos: dict[str, _Photo], embedder: TextEmbedder) -> None:
    """Gives the texts that have none an embedding."""
    new = [place for place, (_, text, _) in photos.items() if text is None]
    vectors = await embedder.embed([photos[place][0].text for place in new])
    for place, vector in zip(new, vectors, strict=True):
        record, _, picture = photos[place]
        photos[place] = (record, vector, picture)


async def search_photos(text: str, most: int, home: Path, embedder: TextEmbedder) -> tuple[list[FoundPhoto], list[str]]:
    """The photos whose texts are nearest to the question, exact ones first; and what is to be said of the indexes."""
    indexes = await asyncio.to_thread(read_indexes, home)
    usable = [index for index in indexes if index.text_model == embedder.facts.digest and index.records]
    notices = _other_model([index for index in indexes if index.text_model != embedder.facts.digest])
    vector = (await embedder.embed([text]))[0]
    words = set(_WORD.findall(text.casefold()))
    ranked: list[tuple[bool, float, FoundPhoto]] = []
    for index in usable:
        for row, cosine in enumerate(index.texts @ vector):
            record = index.records[row]
            exact = bool(words) and words <= set(_WORD.findall(record.text.casefold()))
            ranked.append((not exact, -float(cosine), _found(index, record, float(cosine), exact=exact)))
    return _once(photo for *_, photo in sorted(ranked, key=lambda found: found[:2]))[:most], notices


async def photos_like(path: Path, most: int, home: Path, pictures: PictureModel) -> tuple[list[FoundPhoto], list[str]]:
    """The photos that show what this file shows. Raises UsageError where it cannot be opened."""
    opener = photo_opener()
    try:
        made = await asyncio.to_thread(lambda: opener.ask({"path": os.path.realpath(path), "side": pictures.side}))
    finally:
        opener.close()
    if isinstance(made, str) or "pixels" not in made:
        raise UsageError(f"{path} cannot be opened as a photo: {_why(made)}.")
    vector = await asyncio.to_thread(pictures.embed, base64.b64decode(made["pixels"]))
    indexes = await asyncio.to_thread(read_indexes, home)
    usable = [index for index in indexes if index.picture_model == pictures.digest and index.records]
    ranked = [
        (-float(cosine), _found(index, index.records[row], float(cosine), exact=False))
        for index in usable
        for row, cosine in enumerate(index.pictures @ vector)
    ]
    notices = _other_model([index for index in indexes if index.picture_model != pictures.digest])
    return _once(photo for _, photo in sorted(ranked, key=lambda found: found[0]))[:most], notices


def _known(former: PhotoIndex | None, text_model: str, pictures: PictureModel | None) -> dict[str, _Photo]:
    """Place -> a photo that need not be opened again."""
    if former is None or former.picture_model != (None if pictures is None else pictures.digest):
        return {}
    same = former.text_model == text_model
    return {
        record.place: (
            record,
            former.texts[row] if same else None,
            former.pictures[row] if former.picture_model else None,
        )
        for row, record in enumerate(former.records)
    }


def _open(opener: LimitedProcess, root: str, file: PhotoFile, pictures: PictureModel | None) -> _Opened | str:
    """The photo, or why it is left out. Raises ModelError without the extra."""
    made = opener.ask({"path": file.path, "side": 0 if pictures is None else pictures.side})
    if isinstance(made, dict) and made.get("missing"):
        raise ModelError(PHOTOS_EXTRA)
    if isinstance(made, str) or "error" in made:
        return _why(made)
    exif, caption = made["exif"], caption_beside(file)
    record = PhotoRecord(
        id=photo_id(root, file.place),
        place=file.place,
        size=file.size,
        modified_ns=file.modified_ns,
        width=made["width"],
        height=made["height"],
        text=photo_text(caption, exif, file.words),
        caption=caption,
        taken=exif.get("taken"),
        camera=" ".join(exif[name] for name in ("make", "camera") if name in exif) or None,
    )
    picture = None if pictures is None else pictures.embed(base64.b64decode(made["pixels"]))
    return _Opened(record=record, picture=picture, thumbnail=base64.b64decode(made["thumbnail"]))


def photo_text(caption: str, exif: dict[str, str], words: str) -> str:
    """All that is known of a photo in words, a sentence each."""
    parts = [caption, exif.get("description", ""), words]
    return ". ".join(dict.fromkeys(part.strip(". ") for part in parts if part.strip(". "))) or "photo"


def _once(photos: Iterable[FoundPhoto]) -> list[FoundPhoto]:
    """Without those that were found already: a folder and one below it may both be indexed."""
    first: dict[str, FoundPhoto] = {}
    for photo in photos:
        first.setdefault(photo.path, photo)
    return list(first.values())


def _unchanged(file: PhotoFile, known: Mapping[str, _Photo]) -> bool:
    """Whether the photo and the caption beside it are what they were."""
    if (before := known.get(file.place)) is None:
        return False
    now = (file.size, file.modified_ns, caption_beside(file))
    return now == (before[0].size, before[0].modified_ns, before[0].caption)


def _found(index: PhotoIndex, record: PhotoRecord, similarity: float, *, exact: bool) -> FoundPhoto:
    return FoundPhoto(
        folder=index.id,
        id=record.id,
        path=str(Path(index.root) / record.place),
        text=record.text,
        taken=record.taken,
        similarity=round(similarity, 4),
        exact=exact,
    )


def _other_model(indexes: list[PhotoIndex]) -> list[str]:
    return [
        f"{index.root} was indexed with another model, or without one: `nightjar photos index {index.root}`."
        for index in indexes
    ]


def _why(made: Any) -> str:
    return made if isinstance(made, str) else str(made.get("error", "it is no photo"))
