"""Compares a model's files with the digests they should have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.workers.library.digests import sha256
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.gguf.metadata import read_metadata
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.registry import read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

_BLOB = "sha256-"
"""Ollama's store names its files after their digests."""


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """One comparison. `expected` is None if no digest is known."""

    what: str
    found: str
    expected: str | None

    @property
    def wrong(self) -> bool:
        return self.expected is not None and self.found != self.expected


def verify(
    entry: ModelEntry, settings: Settings, *, advance: Callable[[int], None] | None = None
) -> tuple[FileCheck, ...]:
    """Hashes the files again and compares them with the manifest, the registry or an Ollama blob's name.

    Raises ModelFileError.
    """
    parts = parts_of(entry.path)
    for part in parts:
        read_metadata(part)
    manifest = read_manifest(entry.path.parent)
    if manifest is not None:
        expected = {file.name: file.sha256 for file in manifest.files}
        return tuple(_verdict(part, expected.get(part.name), advance) for part in parts)
    known = read_registry(settings.models_file).models.get(entry.name)
    expected_digest = known.sha256 if known else None
    if expected_digest is None and entry.path.name.startswith(_BLOB):
        expected_digest = entry.path.name.removeprefix(_BLOB)
    return (FileCheck(what=entry.name, found=sha256(parts, advance=advance), expected=expected_digest),)


def _verdict(part: Path, expected: str | None, advance: Callable[[int], None] | None) -> FileCheck:
    return FileCheck(what=part.name, found=sha256([part], advance=advance), expected=expected)
