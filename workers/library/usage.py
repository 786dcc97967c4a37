"""When each model was last loaded on this host."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from nightjar.config.files import make_folder


def mark_used(home: Path, name: str) -> None:
    """Records that the model was loaded now, as a file's time, so that processes never overwrite each other."""
    file = _file(home, name)
    make_folder(file.parent)
    file.touch(mode=0o600)
    os.utime(file)


def last_used(home: Path, name: str) -> datetime | None:
    """When the model was last loaded on this host; None if it never was."""
    try:
        return datetime.fromtimestamp(_file(home, name).stat().st_mtime, UTC)
    except OSError:
        return None


def forget(home: Path, name: str) -> None:
    _file(home, name).unlink(missing_ok=True)


def _file(home: Path, name: str) -> Path:
    return home / "models-used" / quote(name, safe="")
