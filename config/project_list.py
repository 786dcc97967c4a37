"""The projects that this user made with `nightjar init`, listed in the user's own config folder.

A folder counts as long as its path, its inode and the random mark in its home are those of the list. A path alone would
hold for whatever is cloned there later, and file systems give the inode of a deleted folder to the next one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightjar.config.files import private_folder, write_private

APP = "nightjar"
LIST = "projects.json"
MARK = "project"
"""In the home of a project."""


def user_config() -> Path:
    """The user's own config folder (~/.config/nightjar on Linux); it need not exist."""
    import platformdirs

    return platformdirs.user_config_path(APP, appauthor=False)


def user_data() -> Path:
    """The user's own data folder (~/.local/share/nightjar on Linux); it need not exist."""
    import platformdirs

    return platformdirs.user_data_path(APP, appauthor=False)


@dataclass(frozen=True, kw_only=True)
class ListedFolder:
    """A folder on the list. `same`: it is still the one that `nightjar init` made."""

    path: Path
    same: bool


def nearest_listed(current: Path) -> ListedFolder | None:
    """The current folder or the nearest above it that is on the list."""
    listed = _read()
    for folder in (current, *current.parents):
        entry = listed.get(str(folder))
        if isinstance(entry, dict):
            return ListedFolder(path=folder, same=_is_same(folder, entry))
    return None


def _is_same(folder: Path, entry: Mapping[str, Any]) -> bool:
    try:
        mark = (folder / ".nightjar" / MARK).read_text("utf-8").strip()
        return bool(mark) and entry.get("inode") == folder.stat().st_ino and entry.get("mark") == mark
    except (OSError, UnicodeDecodeError):
        return False


def list_project(folder: Path) -> None:
    """Puts the folder, an absolute path, on the list and a mark into its home. Raises OutputError."""
    mark = secrets.token_hex(16)
    write_private(private_folder(folder / ".nightjar") / MARK, mark + "\n")
    here = str(folder)
    kept = {path: entry for path, entry in _read().items() if path == here or Path(path).is_dir()}
    kept[here] = {"inode": folder.stat().st_ino, "mark": mark}
    write_private(private_folder(user_config()) / LIST, json.dumps(kept, indent=1) + "\n")


def listed_projects() -> list[Path]:
    """The folders on the list that are still the ones that `nightjar init` made."""
    return [Path(path) for path, entry in _read().items() if isinstance(entry, dict) and _is_same(Path(path), entry)]


def unlist_project(folder: Path) -> None:
    """Takes the folder off the list, if it is on it. Raises OutputError."""
    listed = _read()
    if str(folder) in listed:
        kept = {path: entry for path, entry in listed.items() if path != str(folder)}
        write_private(user_config() / LIST, json.dumps(kept, indent=1) + "\n")


def _read() -> Mapping[str, Any]:
    """An unreadable list lists nothing; the commands then say which files they ignore."""
    try:
        listed = json.loads((user_config() / LIST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return listed if isinstance(listed, dict) else {}
