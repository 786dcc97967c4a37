"""SHA-256 of model files, cached while path, size, modification time and inode stay the same."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from nightjar.config.errors import ModelFileError
from nightjar.config.files import make_folder

_CHUNK_BYTES = 4 * 2**20
_log = structlog.get_logger()


class DigestCache:
    """A JSON file of digests by file. A lost or damaged cache costs time, never correctness."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def digest(self, parts: Iterable[Path], *, advance: Callable[[int], None] | None = None) -> str:
        """SHA-256 over the parts in order, 64 hexadecimal characters; `advance` gets the bytes read."""
        paths = [part.absolute() for part in parts]
        key, stamp = str(paths[0]), [_stamp(path) for path in paths]
        known = self._read().get(key)
        if isinstance(known, dict) and known.get("stamp") == stamp:
            return str(known["sha256"])
        value = sha256(paths, advance=advance)
        if stamp == [_stamp(path) for path in paths]:
            self._write(key, {"stamp": stamp, "sha256": value})
        return value

    def remember(self, path: Path, value: str) -> None:
        """Keeps a digest that was computed elsewhere for a file of one part."""
        self._write(str(path.absolute()), {"stamp": [_stamp(path)], "sha256": value})

    def forget(self, path: Path) -> None:
        """Forgets the digest of a deleted file."""
        entries = self._read()
        if entries.pop(str(path.absolute()), None) is not None:
            self._replace(entries)

    def _read(self) -> dict[str, object]:
        try:
            entries = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _write(self, key: str, entry: object) -> None:
        entries = {path: value for path, value in self._read().items() if os.path.exists(path)}
        entries[key] = entry
        self._replace(entries)

    def _replace(self, entries: dict[str, object]) -> None:
        try:
            make_folder(self.file.parent)
            with tempfile.NamedTemporaryFile("w", dir=self.file.parent, delete=False) as new:
                json.dump(entries, new, indent=1)
            os.replace(new.name, self.file)
        except OSError as error:
            _log.warning("digest_cache_not_written", file=str(self.file), reason=str(error))


def sha256(paths: Iterable[Path], *, advance: Callable[[int], None] | None = None) -> str:
    """SHA-256 over the files in order. Raises ModelFileError if one cannot be read."""
    total = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    total.update(chunk)
                    if advance is not None:
                        advance(len(chunk))
        except OSError as error:
            raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from None
    return total.hexdigest()


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from None
    return [status.st_size, status.st_mtime_ns, status.st_ino]
