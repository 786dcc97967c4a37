"""Indexing a folder of photos: what is new or changed is opened and embedded, what is gone is forgotten."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.errors import ModelError, UsageError
from nightjar.config.limited_process import LimitedProcess
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.photos.find_files import PhotoFile, caption_beside, find_photos, photo_root
from nightjar.workers.photos.opener import photo_opener, refusal_of
from nightjar.workers.photos.picture_model import PHOTOS_EXTRA, PictureModel, PictureVector, checked_vectors
from nightjar.workers.photos.store import NO_TEXT, PhotoIndex, PhotoRecord, photo_id, read_index, this_host, write_index

PhotoProgress = Callable[[int], None]
BATCH = 500
"""Photos that are opened between two times that the index is stored."""


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


_Photo = tuple[PhotoRecord, PictureVector | None, PictureVector | None]
"""With the vectors of its text and of what it shows."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    record: PhotoRecord
    picture: PictureVector | None
    thumbnail: bytes


async def index_photos(
    folder: Path,
    home: Path,
    embedder: TextEmbedder,
    pictures: PictureModel | None,
    progress: PhotoProgress = lambda done: None,
    *,
    take_over: bool = False,
) -> Indexed:
    """Opens what is new or changed in the folder, and forgets what is gone.

    It is stored every `BATCH` photos: interrupted, the next call does the rest. `take_over`: this host serves it from
    now on, whoever did. Raises UsageError for a folder that cannot be read, or that another host serves, ModelError,
    and as the embedder does.
    """
    root = photo_root(folder)
    unreadable: list[str] = []
    files = await asyncio.to_thread(lambda: list(find_photos(root, unreadable)))
    former = await asyncio.to_thread(read_index, home, str(root))
    if former is not None and not former.served_here and not take_over:
        raise UsageError(
            f"{root} was indexed by the host {former.host}, which serves its photos. Index it there; --take-over makes "
            f"this host, {this_host()}, the one that does."
        )
    known = _known(former, embedder.facts.digest, pictures)
    kept = await asyncio.to_thread(lambda: {file.place: known[file.place] for file in files if _unchanged(file, known)})
    captioned = {record.place: record for record in former.records if record.made} if former is not None else {}
    new = [file for file in files if file.place not in kept]
    refused: dict[str, str] = {}
    opened = 0
    opener = photo_opener()
    try:
        for start in range(0, max(1, len(new)), BATCH):
            thumbnails: dict[str, bytes] = {}
            for done, file in enumerate(new[start : start + BATCH], start=start + 1):
                found = await asyncio.to_thread(_open, opener, str(root), file, pictures, captioned.get(file.place))
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
                host=this_host(),
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
    """Gives the texts that have none an embedding, each text once."""
    new = [place for place, (_, text, _) in photos.items() if text is None]
    texts = list(dict.fromkeys(photos[place][0].text for place in new))
    vectors = dict(zip(texts, await embedder.embed(texts), strict=True))
    for place in new:
        record, _, picture = photos[place]
        photos[place] = (record, vectors[record.text], picture)


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


def _open(
    opener: LimitedProcess, root: str, file: PhotoFile, pictures: PictureModel | None, captioned: PhotoRecord | None
) -> _Opened | str:
    """The photo, or why it is left out. `captioned`: as it was, with captions that a model made, which hold as long as
    the picture is the same one. Raises ModelError without the extra.
    """
    made = opener.ask({"path": file.path, "wanted": None if pictures is None else pictures.preparation.question})
    if isinstance(made, dict) and made.get("missing"):
        raise ModelError(PHOTOS_EXTRA)
    if isinstance(made, str) or "error" in made:
        return refusal_of(made)
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
    if captioned is not None and (captioned.size, captioned.modified_ns) == (file.size, file.modified_ns):
        record = record.with_captions_of(captioned)
    picture = None if pictures is None else pictures.embed(base64.b64decode(made["pixels"]))
    return _Opened(record=record, picture=picture, thumbnail=base64.b64decode(made["thumbnail"]))


def photo_text(caption: str, exif: dict[str, str], words: str) -> str:
    """All that is known of a photo in words, a sentence each."""
    parts = [caption, exif.get("description", ""), words]
    return ". ".join(dict.fromkeys(part.strip(". ") for part in parts if part.strip(". "))) or NO_TEXT


def _unchanged(file: PhotoFile, known: Mapping[str, _Photo]) -> bool:
    """Whether the photo and the caption beside it are what they were."""
    if (before := known.get(file.place)) is None:
        return False
    now = (file.size, file.modified_ns, caption_beside(file))
    return now == (before[0].size, before[0].modified_ns, before[0].caption)
