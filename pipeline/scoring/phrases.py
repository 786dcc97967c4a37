"""Lists of over-used phrases, and the one that comes with Nightjar."""

from __future__ import annotations

from pathlib import Path

from nightjar import config
from nightjar.config.errors import SettingsError

SHIPPED = Path(config.__file__).parent / "phrases" / "overused.txt"


def read_phrases(path: Path) -> tuple[str, ...]:
    """The phrases of a file, in order: one a line; empty lines and lines that begin with `#` do not count.

    Raises SettingsError for a file that cannot be read or holds none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The phrase list {path} (phrases_file) cannot be read: {error}.") from None
    phrases = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not phrases:
        raise SettingsError(f"The phrase list {path} (phrases_file) holds no phrase; give one a line.")
    return phrases
