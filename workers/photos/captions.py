"""Captions of indexed photos made by a local vision model: each picture is asked about once for each model."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nightjar.config.errors import ModelError, UnknownNameError, UsageError
from nightjar.config.limited_process import LimitedProcess
from nightjar.jobs.identity import digest
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.photos.find_files import photo_root
from nightjar.workers.photos.opener import photo_opener, refusal_of
from nightjar.workers.photos.store import PhotoIndex, PhotoRecord, read_index, read_indexes, write_index

if TYPE_CHECKING:
    from nightjar.workers.library.find import ModelEntry

PROMPT = "Describe this photo in one short sentence."
LONGEST = 1024
"""Pixels of a picture's longer side, as the model is given it; it makes them fewer itself."""
MOST_TOKENS = 80
MOST_CHARS = 400
CONTEXT = 4096
BATCH = 10
"""Captions between two times that the index is stored."""
MEMORY_SPARE = 4 * 2**30
CPU_S, WALL_S = 3600.0, 1800.0
"""For one picture; a large model on a busy CPU takes minutes."""
ANSWER_BYTES = 1_000_000
CaptionProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class AskedPicture:
    """RGB pixels, row by row."""

    pixels: bytes
    width: int
    height: int


class Captioner(Protocol):
    """A vision model that is asked about one picture at a time."""

    name: str
    digest: str
    """Of model, projector and question."""

    def caption(self, picture: AskedPicture) -> str:
        """What it says. Raises ModelError, with what happened to it, where it says nothing."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """What became of a folder."""

    root: str
    made: int
    before: int
    """Photos that had a caption by this model before."""
    refused: dict[str, str]
    """Place -> why that photo got none."""


class LocalCaptioner:
    """A `Captioner` in a limited process, on the CPU; native code that crashes costs one picture."""

    def __init__(self, entry: ModelEntry, digests: DigestCache, *, threads: int | None = None) -> None:
        """Raises ModelError for a model without a projector, ModelFileError where one of the files is missing."""
        if entry.projector is None:
            raise ModelError(
                f"The model {entry.name!r} has no projector, so that it sees no pictures. Put the file that came with "
                f"it (mostly mmproj-*.gguf) into models.toml: projector = FILE under [{entry.name}]."
            )
        parts = list(parts_of(entry.path))
        self.name = entry.name
        self.digest = digest("caption", digests.digest(parts), digests.digest([entry.projector]), PROMPT)
        sizes = sum(part.stat().st_size for part in (*parts, entry.projector))
        self._asked = {
            "model": str(entry.path),
            "projector": str(entry.projector),
            "template": entry.template,
            "context": entry.load.context if isinstance(entry.load.context, int) else CONTEXT,
            "threads": threads or os.cpu_count() or 1,
            "prompt": PROMPT,
            "most_tokens": MOST_TOKENS,
        }
        self._process = LimitedProcess(
            "nightjar.workers.photos.caption_child",
            memory_bytes=2 * sizes + MEMORY_SPARE,
            cpu_s=CPU_S,
            wall_s=WALL_S,
            answer_bytes=ANSWER_BYTES,
        )

    def caption(self, picture: AskedPicture) -> str:
        """See `Captioner.caption`."""
        pixels = base64.b64encode(picture.pixels).decode("ascii")
        made = self._process.ask(self._asked | {"pixels": pixels, "width": picture.width, "height": picture.height})
        if isinstance(made, str) or "reply" not in made:
            raise ModelError(refusal_of(made))
        return str(made["reply"])

    def close(self) -> None:
        """Ends the process. Idempotent."""
        self._process.close()


async def caption_photos(
    folder: Path,
    home: Path,
    captioner: Captioner,
    embedder: TextEmbedder,
    progress: CaptionProgress = lambda done, total: None,
) -> Captioned:
    """Asks about every indexed photo of the folder that has no caption by this model yet, and stores what it says.

    It is stored every `BATCH` captions: interrupted, the next call does the rest. Raises UnknownNameError for a folder
    that is not indexed, UsageError for one that another host serves or that is to be indexed again, and as the embedder
    does.
    """
    index = await asyncio.to_thread(_read_index, folder, home, embedder)
    asked = [at for at, record in enumerate(index.records) if captioner.digest not in record.made]
    before, refused, made = len(index.records) - len(asked), dict[str, str](), dict[int, PhotoRecord]()
    opener = photo_opener()
    try:
        for done, at in enumerate(asked, start=1):
            record = index.records[at]
            try:
                said = await asyncio.to_thread(_asked, opener, captioner, Path(index.root) / record.place)
                made[at] = record.with_caption(captioner.digest, captioner.name, said)
            except ModelError as error:
                refused[record.place] = str(error)
            progress(done, len(asked))
            if done % BATCH == 0 or done == len(asked):
                index = await _stored(index, made, home, embedder)
    finally:
        opener.close()
    return Captioned(root=index.root, made=len(made), before=before, refused=refused)


def _read_index(folder: Path, home: Path, embedder: TextEmbedder) -> PhotoIndex:
    root = str(photo_root(folder))
    index = read_index(home, root)
    if index is None:
        raise UnknownNameError("indexed folder", root, [index.root for index in read_indexes(home)], "Index it first.")
    if not index.served_here:
        raise UsageError(f"{root} was indexed by the host {index.host}, which serves its photos. Caption them there.")
    if index.text_model != embedder.facts.digest:
        raise UsageError(f"{root} was indexed with another model. Index it again: nightjar photos index {root}.")
    return index


def _asked(opener: LimitedProcess, captioner: Captioner, path: Path) -> str:
    """One caption, as one line. Raises ModelError."""
    opened = opener.ask({"path": str(path), "wanted": {"longest": LONGEST}})
    if isinstance(opened, str) or "pixels" not in opened:
        raise ModelError(refusal_of(opened))
    width, height = opened["pixels_size"]
    picture = AskedPicture(pixels=base64.b64decode(opened["pixels"]), width=width, height=height)
    said = " ".join(captioner.caption(picture).split())[:MOST_CHARS].strip()
    if not any(character.isalnum() for character in said):
        raise ModelError("it said nothing about the picture")
    return said


async def _stored(index: PhotoIndex, made: dict[int, PhotoRecord], home: Path, embedder: TextEmbedder) -> PhotoIndex:
    """The index with the captions that are new in it, stored."""
    new = [at for at, record in made.items() if index.records[at] is not record]
    texts = index.texts.copy()
    if new:
        texts[new] = await embedder.embed([made[at].text for at in new])
    records = tuple(made.get(at, record) for at, record in enumerate(index.records))
    index = replace(index, records=records, texts=texts)
    await asyncio.to_thread(write_index, home, index, {})
    return index
