"""What a download keeps in a model's folder while it runs: a lock, and parts that cannot be mistaken for a model.

models/NAME/.cache/      huggingface_hub's own: unfinished parts and their resume data
models/NAME/.pull.lock   held while a pull runs
models/NAME/.pull.total  how many bytes it will have fetched
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
TOTAL = ".pull.total"


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


def note_total(folder: Path, total_bytes: int) -> None:
    """Says how large the download will be, for whoever looks at it."""
    (folder / TOTAL).write_text(str(total_bytes), encoding="ascii")


def total_bytes(folder: Path) -> int | None:
    """How large the download will be; None where that is not known."""
    try:
        return int((folder / TOTAL).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
