"""Which processes work in a home: each keeps its id file open for as long as it does, and the system knows which do."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import OutputError, ServiceError
from nightjar.config.home_id import ID_FILE, home_id

if TYPE_CHECKING:
    import psutil

_LOOK_S = 0.2
_KILLED_S = 10.0


def work_in(home: Path) -> int | None:
    """Counts this process as one that works in the home until the descriptor is closed; None where there is no home, or
    one that cannot be written."""
    if not home.is_dir():
        return None
    try:
        home_id(home)
        return os.open(home / ID_FILE, os.O_RDONLY)
    except (OSError, OutputError):
        return None


def working_in(home: Path) -> list[psutil.Process]:
    """The other processes that work in the home, as far as this user may look."""
    import psutil

    file = str(home.resolve() / ID_FILE)
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [process for process in others if _has_open(process, file)]


def _has_open(process: psutil.Process, file: str) -> bool:
    import psutil

    try:
        return any(opened.path == file for opened in process.open_files())
    except (psutil.Error, OSError):
        return False


def is_command(process: psutil.Process) -> bool:
    """Whether it is a `nightjar` command, and not a program that imports Nightjar."""
    import psutil

    try:
        words = iter(process.cmdline()[1:])
    except psutil.Error:
        return False
    for word in words:
        if word == "-m":
            return next(words, None) == "nightjar"
        if not word.startswith("-"):
            return os.path.basename(word) == "nightjar"
    return False


def end_all(home: Path, within_s: float) -> None:
    """Tells all that work in the home to end, waits, and kills what has not ended in time. Raises ServiceError.

    A supervisor passes it on to its workers, so only those are told whose parent is not.
    """
    import psutil

    told: set[int] = set()
    deadline = time.monotonic() + within_s
    while here := working_in(home):
        pids = {process.pid for process in here}
        late = time.monotonic() - deadline
        if late > _KILLED_S:
            raise ServiceError(f"Process {min(pids)} works in {home} and cannot be ended. End it, and try again.")
        for process in here:
            with contextlib.suppress(psutil.Error):
                if late > 0:
                    process.kill()
                elif process.pid not in told and process.ppid() not in pids:
                    process.terminate()
                    told.add(process.pid)
        time.sleep(_LOOK_S)
