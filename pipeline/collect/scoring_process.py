"""The parent's end of a process that scores, and a few of them that wait warm for the next run."""

from __future__ import annotations

import contextlib
import subprocess
from multiprocessing import Pipe
from signal import Signals
from typing import Any

from nightjar.config.interpreter import PYTHON
from nightjar.pipeline.collect.scoring_child import ScoreEach, ScoreTogether, ScoringPlan

LANES = 4
"""Runs that are scored at the same time by this process, each in a child of its own."""
GRACE_S = 5.0
"""A child that its own deadline did not end is killed so much later."""
_COMMAND = "from nightjar.pipeline.collect.scoring_child import score_for_parent; score_for_parent({})"
_STDERR = 2


class ScoringProcessDied(Exception):  # an outcome, not an error of ours
    """The process ended inside a piece of work. `late`: at its deadline."""

    def __init__(self, how: str, *, late: bool = False) -> None:
        super().__init__(how)
        self.late = late


class ScoringProcess:
    """A child. What a scorer prints goes to standard error."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [*PYTHON, "-c", _COMMAND.format(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                pass_fds=(theirs.fileno(),),
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: ScoringPlan | ScoreEach | ScoreTogether) -> None:
        """Raises ScoringProcessDied."""
        try:
            self._connection.send(message)
        except OSError:
            raise self._died("it took too long") from None

    def receive(self, limit_s: float) -> Any:
        """The next answer. Raises ScoringProcessDied where the process ends first, or takes longer than `limit_s`."""
        late = f"it took longer than {limit_s:g} s"
        try:
            if self._connection.poll(limit_s + GRACE_S):
                return self._connection.recv()
        except (EOFError, OSError):
            raise self._died(late) from None
        self.end()
        raise ScoringProcessDied(late, late=True)

    def end(self) -> None:
        """Ends the process, whatever it does. May be called from another thread, whose `receive` raises then."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends it and frees the socket."""
        self.end()
        self._connection.close()

    def _died(self, late: str) -> ScoringProcessDied:
        code = self._process.wait()
        if code == -Signals.SIGALRM:
            return ScoringProcessDied(late, late=True)
        return ScoringProcessDied(f"its process ended by {Signals(-code).name}" if code < 0 else f"exit code {code}")


_warm: list[ScoringProcess] = []


def borrow() -> ScoringProcess | None:
    """A child that waits for work; None where none does."""
    while _warm:
        process = _warm.pop()
        if process.alive:
            return process
        process.close()
    return None


def keep_warm(process: ScoringProcess) -> None:
    """Keeps an idle child for the next run, or ends it where enough wait already."""
    if process.alive and len(_warm) < LANES:
        _warm.append(process)
    else:
        with contextlib.suppress(OSError):
            process.close()
