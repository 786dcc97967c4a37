"""Photos found by what is known of them in words, and by what they show: asked in words, or with another photo."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nightjar.config.errors import ModelFileError, UsageError
from nightjar.jobs.search.rank_fusion import fused
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.photos.opener import photo_opener, refusal_of
from nightjar.workers.photos.picture_model import PictureModel, PictureVector
from nightjar.workers.photos.store import NO_TEXT, PhotoIndex, PhotoRecord, read_indexes

RANKED = 1_000
"""Photos of each ranking that are put together."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class FoundPhoto:
    folder: str
    """Id of the indexed folder."""
    id: str
    path: str
    text: str
    taken: str | None
    similarity: float
    """Cosine of its text, or of what it shows where a photo was asked with."""
    exact: bool
    """Its text holds every word of the question."""
    shows: float | None = None
    """Cosine of what it shows to the words of the question; None where no picture model was asked."""
    caption_by: str | None = None
    """The model that made a part of its text."""


async def search_photos(
    text: str, most: int, home: Path, embedder: TextEmbedder, pictures: PictureModel | None = None
) -> tuple[list[FoundPhoto], list[str]]:
    """The photos that are nearest to the question, and what is to be said of the indexes.

    Those whose texts hold every word of it come first; then two rankings count alike, by their texts and, where
    `pictures` takes words, by what they show. Raises as the embedder and the model do.
    """
    indexes, notices = await _served(home)
    usable = [index for index in indexes if index.text_model == embedder.facts.digest and index.records]
    notices += _other_model(index for index in indexes if index.text_model != embedder.facts.digest)
    vector = (await embedder.embed([text]))[0]
    words = set(_WORD.findall(text.casefold()))
    photos = _once(photo for index in usable for photo in _by_text(index, vector, words))
    told = sorted((photo for photo in photos.values() if photo.text != NO_TEXT), key=_nearness)[:RANKED]
    shown: dict[str, float] = {}
    if pictures is not None and pictures.takes_words:
        shown = await _by_what_they_show(text, usable, pictures)
        notices += _other_model(index for index in usable if index.picture_model != pictures.digest)
    elif pictures is not None:
        notices.append(f"The picture model in {pictures.folder} has no text encoder: words find photos by their texts.")
    order = fused([photo.path for photo in told], sorted(shown, key=lambda path: -shown[path])[:RANKED])
    ranked = set(order)
    order += [path for path in photos if path not in ranked]
    found = [replace(photos[path], shows=shown.get(path)) for path in order]
    return sorted(found, key=lambda photo: not photo.exact)[:most], notices


async def photos_like(path: Path, most: int, home: Path, pictures: PictureModel) -> tuple[list[FoundPhoto], list[str]]:
    """The photos that show what this file shows. Raises UsageError where it cannot be opened."""
    opener = photo_opener()
    wanted = pictures.preparation.question
    try:
        made = await asyncio.to_thread(lambda: opener.ask({"path": os.path.realpath(path), "wanted": wanted}))
    finally:
        opener.close()
    if isinstance(made, str) or "pixels" not in made:
        raise UsageError(f"{path} cannot be opened as a photo: {refusal_of(made)}.")
    vector = await asyncio.to_thread(pictures.embed, base64.b64decode(made["pixels"]))
    indexes, notices = await _served(home)
    usable = [index for index in indexes if index.picture_model == pictures.digest and index.records]
    notices += _other_model(index for index in indexes if index.picture_model != pictures.digest)
    photos = _once(
        _found(index, index.records[row], float(cosine), exact=False)
        for index in usable
        for row, cosine in enumerate(index.pictures @ vector)
    )
    return sorted(photos.values(), key=_nearness)[:most], notices


async def _served(home: Path) -> tuple[list[PhotoIndex], list[str]]:
    """The indexes that this host serves, and what is said of the others."""
    indexes = await asyncio.to_thread(read_indexes, home)
    elsewhere = [
        f"The photos of {index.root} are served by the host {index.host}: search there, or make this host the one that "
        f"does: `nightjar photos index {index.root} --take-over`."
        for index in indexes
        if not index.served_here
    ]
    return [index for index in indexes if index.served_here], elsewhere


def _by_text(index: PhotoIndex, vector: PictureVector, words: set[str]) -> Iterator[FoundPhoto]:
    for record, cosine in zip(index.records, index.texts @ vector, strict=True):
        exact = bool(words) and words <= set(_WORD.findall(record.text.casefold()))
        yield _found(index, record, float(cosine), exact=exact)


async def _by_what_they_show(text: str, indexes: Sequence[PhotoIndex], pictures: PictureModel) -> dict[str, float]:
    """Path -> cosine of what a photo shows to the words. Raises ModelFileError for encoders of different spaces."""
    usable = [index for index in indexes if index.picture_model == pictures.digest]
    if not usable:
        return {}
    vector = await asyncio.to_thread(pictures.embed_words, text)
    if any(index.pictures.shape[1] != len(vector) for index in usable):
        raise ModelFileError(
            f"The two encoders in {pictures.folder} give vectors of different lengths, so they do not belong together."
        )
    return {
        _path(index, record): round(float(cosine), 4)
        for index in usable
        for record, cosine, there in zip(
            index.records, index.pictures @ vector, np.any(index.pictures, axis=1), strict=True
        )
        if there
    }


def _once(photos: Iterable[FoundPhoto]) -> dict[str, FoundPhoto]:
    """By path: a folder and one below it may both be indexed."""
    first: dict[str, FoundPhoto] = {}
    for photo in photos:
        first.setdefault(photo.path, photo)
    return first


def _nearness(photo: FoundPhoto) -> tuple[bool, float]:
    return not photo.exact, -photo.similarity


def _found(index: PhotoIndex, record: PhotoRecord, similarity: float, *, exact: bool) -> FoundPhoto:
    return FoundPhoto(
        folder=index.id,
        id=record.id,
        path=_path(index, record),
        text=record.text,
        taken=record.taken,
        similarity=round(similarity, 4),
        exact=exact,
        caption_by=record.made_by,
    )


def _path(index: PhotoIndex, record: PhotoRecord) -> str:
    return str(Path(index.root) / record.place)


def _other_model(indexes: Iterable[PhotoIndex]) -> list[str]:
    return [
        f"{index.root} was indexed with another model, or without one: `nightjar photos index {index.root}`."
        for index in indexes
    ]
