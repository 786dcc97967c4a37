"""Text of a file that somebody gave: UTF-8, of limited size."""

from __future__ import annotations

from pathlib import Path

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.located import suite_error

MAX_FILE_BYTES = 32 * 2**20


def file_text(path: Path, shown: str, limit: int) -> str:
    """The text. `shown`: what errors call the file. Raises SuiteError."""
    if path.exists() and not path.is_file():
        raise SuiteError(f"{path} is not a file.")
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}.") from None
    if len(raw) > limit:
        raise suite_error(shown, None, f"larger than {limit // 2**20} MiB.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise suite_error(shown, line, "not UTF-8 text. Save the file as UTF-8.") from None
