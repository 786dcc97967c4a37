"""What is known of an indexed folder's photos: under the home of the host that indexed it, and nowhere else."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import UnknownNameError
from nightjar.config.files import private_folder, write_private
from nightjar.jobs.identity import digest

ID_CHARS = 16
NO_TEXT = "photo"
"""What stands for the text of a photo of which nothing is known in words."""
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PhotoRecord:
    """A photo that could be opened, as it was then."""

    id: str
    place: str
    """Its path below the folder."""
    size: int
    modified_ns: int
    width: int
    height: int
    text: str
    """All that is known of it in words: caption, description, names, date."""
    caption: str = ""
    """What stood beside it, as a part of `text`."""
    taken: str | None = None
    camera: str | None = None
    known: str = ""
    """Of `text` what no model made, where one made the rest."""
    made: dict[str, str] = field(default_factory=dict)
    """Captions that models made, by the digest of model, projector and question: none is made twice."""
    made_with: str | None = None
    """The digest of the one that is a part of `text`, and the name of its model."""
    made_by: str | None = None

    @property
    def told(self) -> str:
        """What is known of it that no model made."""
        return self.text if self.made_with is None else self.known

    def with_caption(self, made_with: str, model: str, caption: str) -> PhotoRecord:
        """With a model's caption behind what is known, in the place of another model's."""
        told = self.told
        text = caption if told == NO_TEXT else f"{told}. {caption}"
        made = self.made | {made_with: caption}
        return replace(self, text=text, known=told, made=made, made_with=made_with, made_by=model)

    def with_captions_of(self, former: PhotoRecord) -> PhotoRecord:
        """With the captions that models made of the same picture."""
        record = replace(self, made=former.made)
        if former.made_with is None or former.made_by is None:
            return record
        return record.with_caption(former.made_with, former.made_by, former.made[former.made_with])


@dataclass(frozen=True, kw_only=True)
class PhotoIndex:
    """An indexed folder. Row n of the vectors is record n's; a row of zeros: it has none."""

    root: str
    host: str = ""
    """The one that indexed the folder, and serves its photos. Empty: not recorded then."""
    text_model: str
    """Digest."""
    picture_model: str | None
    records: tuple[PhotoRecord, ...]
    texts: Vectors
    pictures: Vectors
    refused: dict[str, str] = field(default_factory=dict)
    """Place -> why that file is no photo here."""

    @property
    def id(self) -> str:
        return folder_id(self.root)

    @property
    def served_here(self) -> bool:
        """Homes may lie on a disk that hosts share."""
        return self.host in ("", this_host())


def this_host() -> str:
    """What this host is called."""
    return socket.gethostname()


def folder_id(root: str) -> str:
    return digest("photos", root)[:ID_CHARS]


def photo_id(root: str, place: str) -> str:
    return digest("photo", root, place)[:ID_CHARS]


def write_index(home: Path, index: PhotoIndex, thumbnails: dict[str, bytes]) -> None:
    """Stores it with its new thumbnails; those of photos that are gone are removed. Raises OutputError."""
    folder = private_folder(home / "photos" / index.id)
    thumbs = private_folder(folder / "thumbnails")
    for name, data in thumbnails.items():
        (thumbs / f"{name}.jpg").write_bytes(data)
    kept = {f"{record.id}.jpg" for record in index.records}
    for path in thumbs.iterdir():
        if path.name not in kept:
            path.unlink(missing_ok=True)
    state = digest(index.text_model, index.picture_model, [asdict(record) for record in index.records])[:ID_CHARS]
    widths = [vectors.shape[1] for vectors in (index.texts, index.pictures)]
    np.hstack([index.texts, index.pictures]).astype("<f2").tofile(folder / f"{state}.vectors")
    about = {name: value for name, value in vars(index).items() if name not in ("texts", "pictures", "records")}
    about |= {"records": [asdict(record) for record in index.records], "vectors": f"{state}.vectors", "widths": widths}
    write_private(folder / "index.json", json.dumps(about))  # from here on it counts
    for path in folder.glob("*.vectors"):
        if path.name != f"{state}.vectors":
            path.unlink(missing_ok=True)


def read_indexes(home: Path) -> list[PhotoIndex]:
    """Every indexed folder, by path; one that is being written, or cannot be read, is left out."""
    found = [index for path in (home / "photos").glob("*/index.json") if (index := _read(path)) is not None]
    return sorted(found, key=lambda index: index.root)


def read_index(home: Path, root: str) -> PhotoIndex | None:
    """That folder's; None where it is not indexed."""
    return _read(home / "photos" / folder_id(root) / "index.json")


def forget_folder(home: Path, root: str) -> None:
    """Removes all that is kept of a folder's photos; the photos stay. Raises UnknownNameError."""
    if not (home / "photos" / folder_id(root)).is_dir():  # one whose index is broken can be forgotten, too
        raise UnknownNameError("indexed folder", root, [index.root for index in read_indexes(home)])
    shutil.rmtree(home / "photos" / folder_id(root))


def thumbnail(home: Path, folder: str, photo: str) -> bytes | None:
    """A thumbnail by its ids, which are checked; None where there is none."""
    if not all(len(part) == ID_CHARS and part.isalnum() and part.isascii() for part in (folder, photo)):
        return None
    try:
        return (home / "photos" / folder / "thumbnails" / f"{photo}.jpg").read_bytes()
    except OSError:
        return None


def _read(path: Path) -> PhotoIndex | None:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        records = tuple(PhotoRecord(**record) for record in about.pop("records"))
        text_width, picture_width = about.pop("widths")
        data = np.fromfile(path.parent / about.pop("vectors"), "<f2").astype(np.float32)
        texts, pictures = np.split(data.reshape(len(records), text_width + picture_width), [text_width], axis=1)
        return PhotoIndex(**about, records=records, texts=texts, pictures=pictures)
    except (OSError, ValueError, KeyError, TypeError):
        return None
