"""Says what a command is doing while nothing of its work can be seen: on standard error, beside what it prints."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import monotonic

from nightjar.jobs.machines.doing import Doing, Reporter, Stillness
from nightjar.scripts.views.output import plain

LOOK_S = 0.2
_WIPE = "\r\x1b[2K"


class Sayer:
    """Looks at `doing` from a thread of its own, so that it speaks whatever the event loop does.

    Nothing is said for the first seconds, nor while `moved` changes. Then on a terminal one line is kept up to date and
    wiped as soon as something moves; elsewhere there is a line at each turn of events, and every ten seconds.
    """

    def __init__(self, doing: Callable[[], Doing], moved: Callable[[], Hashable] = lambda: None) -> None:
        self._doing = doing
        self._moved = moved
        self._still = Stillness()
        self._reporter = Reporter()
        self._terminal = sys.stderr.isatty()
        self._shown = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saying", daemon=True)

    def __enter__(self) -> Sayer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.wipe()

    def wipe(self) -> None:
        """Takes the line off the terminal, before something is printed."""
        with self._lock:
            if self._shown:
                sys.stderr.write(_WIPE)
                sys.stderr.flush()
            self._shown = False

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look(monotonic())

    def look(self, now: float) -> None:
        """Says what is to be said at this moment."""
        doing = self._doing()
        if not self._still.is_still(self._moved(), now):
            self.wipe()
            return
        with self._lock:
            if self._over.is_set():
                return
            if self._terminal:
                sys.stderr.write(f"{_WIPE}{plain(doing.sentence)} ...")
                self._shown = True
            elif self._reporter.due((doing.task, doing.why), now):
                sys.stderr.write(f"nightjar: {plain(doing.sentence)}\n")
            sys.stderr.flush()


@contextmanager
def saying(doing: Doing) -> Iterator[None]:
    """Around work that says nothing itself."""
    with Sayer(lambda: doing):
        yield
