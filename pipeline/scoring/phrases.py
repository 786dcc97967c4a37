"""The list of over-used phrases of this installation: the setting's file, else the one that comes with Nightjar."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from nightjar import config
from nightjar.config.errors import SettingsError

SHIPPED = Path(config.__file__).parent / "phrases" / "overused.txt"


@lru_cache(maxsize=1)
def installed() -> tuple[str, ...]:
    """The phrases, in file order. Raises SettingsError for a file that cannot be read or holds none."""
    from nightjar.config.settings import load_settings

    return read_phrases(load_settings().phrases_file or SHIPPED)


def read_phrases(path: Path) -> tuple[str, ...]:
    """One phrase a line; empty lines and what follows a `#` at a line's start do not count. Raises SettingsError."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The phrase list {path} (phrases_file) cannot be read: {error}.") from None
    found = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not found:
        raise SettingsError(f"The phrase list {path} (phrases_file) holds no phrase; give one a line.")
    return found
