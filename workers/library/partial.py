"""What a download keeps in a model's folder while it runs: a lock, and parts that cannot be mistaken for a model.

models/NAME/.cache/      huggingface_hub's own: unfinished parts and their resume data
models/NAME/.pull.lock   held while a pull runs
models/NAME/nightjar.json  written last: the model is whole
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nightjar.config.errors import OutputError
from nightjar.config.files import make_folder

CACHE = ".cache"
LOCK = ".pull.lock"


@contextmanager
def pulling(folder: Path, name: str) -> Iterator[None]:
    """Holds the model's download lock. Raises OutputError if another command holds it or the folder is not writable."""
    try:
        make_folder(folder)
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise OutputError(
            f"Another command is downloading {name!r} now. Wait for it, or end it and pull again."
        ) from None
    except PermissionError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}. Set NIGHTJAR_MODELS_DIR.") from None


def is_downloading(folder: Path) -> bool:
    """True while some process holds the model's download lock."""
    lock = folder / LOCK
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def partial_bytes(folder: Path) -> int:
    """Bytes of unfinished downloads in the folder."""
    return sum(file.stat().st_size for file in partial_files(folder))


def partial_files(folder: Path) -> list[Path]:
    """Everything in the folder's download cache."""
    cache = folder / CACHE
    return sorted(file for file in cache.rglob("*") if file.is_file()) if cache.is_dir() else []
