"""The photos in a folder and below it, and the texts beside them. No link is followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.errors import UsageError

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"))
MOST_CAPTION = 4_000
_WORDS = re.compile(r"[A-Za-z\u00c0-\uffff]{2,}|\d{4}")
_CAMERA_NAMES = re.compile(r"(?:img|dsc[fn]?|pxl|mvimg|photo|image)[-_ ]?\d", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """A file that should be a photo. `place`: its path below the indexed folder."""

    path: str
    place: str
    size: int
    modified_ns: int

    @property
    def words(self) -> str:
        """What its name and its folders say, where people named them."""
        named = Path(self.place)
        parts = [*named.parent.parts, *([] if _CAMERA_NAMES.match(named.stem) else [named.stem])]
        return " ".join(word for part in parts for word in _WORDS.findall(part.replace("_", " ")))


def photo_root(folder: Path) -> Path:
    """The folder itself, without links. Raises UsageError where it is none, or may not be read."""
    root = Path(os.path.realpath(folder.expanduser()))
    if not root.is_dir():
        raise UsageError(f"{folder} is no folder. Give one that holds photos.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise UsageError(f"{folder} may not be read. Allow it (`chmod u+rx`), or give another folder.")
    return root


def find_photos(root: Path, unreadable: list[str]) -> Iterator[PhotoFile]:
    """In the order of their paths. Folders that may not be read are added to `unreadable`."""
    for parent, folders, names in os.walk(root, onerror=lambda error: unreadable.append(str(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(parent, name)
            if os.path.splitext(name)[1].lower() not in SUFFIXES or name.startswith("."):
                continue
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                place = os.path.relpath(path, root)
                yield PhotoFile(path=path, place=place, size=status.st_size, modified_ns=status.st_mtime_ns)


def caption_beside(photo: PhotoFile) -> str:
    """The text of NAME.txt or NAME.EXT.txt beside a photo; "" where there is none that can be read."""
    stem = os.path.splitext(photo.path)[0]
    for path in (f"{stem}.txt", f"{photo.path}.txt", f"{stem}.caption"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return " ".join(os.read(descriptor, MOST_CAPTION).decode("utf-8", "replace").split())
        finally:
            os.close(descriptor)
    return ""
