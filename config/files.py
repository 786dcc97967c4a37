"""Folders and files that only this user can read, written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from nightjar.config.errors import OutputError

HOME_PARTS = {
    "mongo": "MongoDB's data: suites, runs, replies, scores",
    "mongo-*": "MongoDB's data as an earlier version had them",
    "redis": "Redis' data: which jobs are due",
    "services": "the servers' addresses and passwords",
    "reports": "reports",
    "logs": "logs",
    "web": "the name of its page, the token of this machine's own programs, and the pulls that it began",
    "hub": "what the model hub's library keeps",
    "search": "vectors of texts, as a search reads them; made again from MongoDB where they are missing",
    "photos": "thumbnails and vectors of the photos that were indexed",
    "models-used": "when models were used",
    "digests.json": "digests of model files",
    "models.toml": "models known by name",
    ".models.toml.lock": "a lock",
    "home.id": "what tells this home from others",
    "project": "what `nightjar init` left",
}
"""What Nightjar keeps in a home, by pattern. An older version left some of it readable by others."""
_homes: set[Path] = set()
"""Homes of this process: what is created in one is private, wherever that happens."""


def keep_private(home: Path) -> None:
    """What is in this home is this user's alone from now on; one that others can look into is closed to them."""
    home = Path(os.path.abspath(home))
    _homes.add(home)
    if not open_to_others(home) or not may_be_home(home):
        return
    home.chmod(0o700)
    for path in parts_of_home(home):
        for inner in (path, *path.rglob("*")):
            _close(inner)


def parts_of_home(home: Path) -> dict[Path, str]:
    """What Nightjar keeps in this home, and what each is; what else lies there is the user's own."""
    return {path: what for pattern, what in HOME_PARTS.items() for path in sorted(home.glob(pattern))}


def bytes_on_disk(path: Path) -> int:
    """What a file, or a folder's content, takes. Files may come and go meanwhile."""
    total = 0
    for file in (path, *path.rglob("*")):
        try:
            total += file.lstat().st_blocks * 512
        except OSError:
            continue
    return total


def open_to_others(folder: Path) -> bool:
    """Whether the folder exists and others have any right to it."""
    try:
        return bool(folder.stat().st_mode & 0o077)
    except OSError:
        return False


def may_be_home(home: Path) -> bool:
    """False for everybody's folder, for somebody else's, and for the one that holds the user's whole account."""
    account = Path(os.path.expanduser("~"))
    status = home.stat()
    return (
        status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX and home not in (account, *account.parents)
    )


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents: in a home for this user alone, elsewhere as the umask says. Raises OSError."""
    path = Path(os.path.abspath(path))
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700 if _in_home(folder) else 0o777, exist_ok=True)
    if not missing and not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
    return path


def close_if_home(path: Path) -> None:
    """Makes a file just written private if it lies in a home; elsewhere it keeps what the umask gave it."""
    if _in_home(Path(os.path.abspath(path))):
        _close(path)


def users_umask() -> int:
    """The umask of this process. Between the two calls another thread would create files for this user alone."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def private_folder(path: Path) -> Path:
    """Creates the folder and its parents, readable by this user only. Raises OutputError."""
    try:
        for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
            folder.mkdir(exist_ok=True, mode=0o700)
        if not path.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def write_private(path: Path, text: str) -> None:
    """Writes the file with mode 0600. It is on the disk before it replaces an older one. Raises OutputError."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from None


def _in_home(path: Path) -> bool:
    return any(path == home or home in path.parents for home in _homes)


def _close(path: Path) -> None:
    """Takes group's and others' rights away; a link is left alone, and so is what vanishes meanwhile."""
    with suppress(OSError):
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077:
            path.chmod(stat.S_IMODE(status.st_mode) & 0o700)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}. Nightjar keeps its data under NIGHTJAR_HOME: "
        "free some space, allow writing there, or set NIGHTJAR_HOME to another folder."
    )
