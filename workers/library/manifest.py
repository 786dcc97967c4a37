"""`models/NAME/nightjar.json`: where a pulled model came from, and the sizes and digests of its files.

It lies beside the files, so that `models/` can be copied to another host and used there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.hub_answers import COMMIT, DIGEST, REPO
from nightjar.workers.library.registry import NAME

FILE_NAME = "nightjar.json"


class PulledFile(BaseModel):
    """One file of the model, as the hub described it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=r"^[^/\\\\\p{C}\p{Zl}\p{Zp}]+\.[gG][gG][uU][fF]$")
    """File name, beside the manifest; without control characters."""
    bytes: int
    sha256: str = Field(pattern=DIGEST)


class Manifest(BaseModel):
    """A completely downloaded model. It is written last, so its presence proves that the download is complete."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=NAME.pattern)
    repo: str = Field(pattern=REPO)
    revision: str | None = None
    """As requested; None means the default branch."""
    commit: str = Field(pattern=COMMIT)
    files: tuple[PulledFile, ...] = Field(min_length=1)
    """All parts, in order."""
    pulled_at: str


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model's folder; None if there is none. Raises ModelFileError if it is damaged."""
    file = folder / FILE_NAME
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise ModelFileError(
            f"{file} cannot be read ({type(error).__name__}). Pull the model again, or remove the folder."
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest atomically."""
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", suffix=".json", delete=False) as new:
        new.write(manifest.model_dump_json(indent=1))
        new.flush()
        os.fsync(new.fileno())
    os.chmod(new.name, 0o644)
    os.replace(new.name, folder / FILE_NAME)
