"""Writes a report's files: all of them or none, and never part of a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from nightjar.config.errors import OutputError, UsageError
from nightjar.config.files import close_if_home, make_folder

STANDARD_OUTPUT = "-"
File = tuple[str, Iterable[str | bytes]]
"""A path below the reports folder, and the file's content in pieces."""


def check_folder(folder: Path) -> None:
    """Creates the folder if it is missing. Raises OutputError if reports cannot be written to it, UsageError for -."""
    if str(folder) == STANDARD_OUTPUT:
        raise UsageError(
            "--out - is for `nightjar report`, which writes one document to standard output. Give a folder here."
        )
    probe = folder / f".nightjar-{secrets.token_hex(4)}"
    try:
        make_folder(folder)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def write_files(files: Iterable[File], folder: Path) -> list[Path]:
    """Writes files below a folder and returns their paths in order. If it raises OutputError, no file has changed."""
    paths: list[Path] = []
    drafts: list[Path] = []
    try:
        make_folder(folder)
        for name, pieces in files:
            paths.append(folder / name)
            drafts.append(folder / f".{paths[-1].name}.{secrets.token_hex(4)}")
            _fill(drafts[-1], pieces)
        for draft, path in zip(drafts, paths, strict=True):
            make_folder(path.parent)
            draft.replace(path)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return paths


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The report cannot be written to {folder}: {error.strerror or error}. "
        "Give another folder with --out DIR, or make room there; nothing was changed."
    )


def _fill(path: Path, pieces: Iterable[str | bytes]) -> None:
    with path.open("wb") as file:
        close_if_home(path)
        for piece in pieces:
            file.write(piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
