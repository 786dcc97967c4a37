"""Folders and files that only this user can read, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nightjar.config.errors import OutputError


def private_folder(path: Path) -> Path:
    """Creates the folder and its parents, readable by this user only. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def write_private(path: Path, text: str) -> None:
    """Writes the file with mode 0600. It is on the disk before it replaces an older one. Raises OutputError."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}. Nightjar keeps its data under NIGHTJAR_HOME: "
        "free some space, allow writing there, or set NIGHTJAR_HOME to another folder."
    )
