"""Standard streams that cannot fail the work: closed ones, readers that have gone, characters that do not fit."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from nightjar.config.errors import OutputError

STDIN, STDOUT, STDERR = range(3)


def secure_streams() -> None:
    """To be called before anything is opened: what a closed stream's number went to would be written into.

    Output that nobody reads any more is dropped, so that the exit code is that of the work.
    """
    for number in (STDIN, STDOUT, STDERR):
        _occupy(number)
    sys.stdin = sys.stdin or open(STDIN, closefd=False)  # noqa: SIM115
    sys.stdout = _writable(STDOUT, sys.stdout)
    sys.stderr = _writable(STDERR, sys.stderr)


def unread() -> bool:
    """Whether the reader of standard output has gone (`| head`): what prints again and again may end."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _Output) and raw.unread


class _Output(io.FileIO):
    """A file descriptor that goes nowhere once its reader has gone. Raises OutputError where it cannot be written."""

    unread = False

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # None: it would block
        size = memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._discard()
            return size
        except OSError as error:
            self._discard()
            raise OutputError(f"What this command prints cannot be written: {error.strerror}.") from None

    def _discard(self) -> None:
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def _occupy(number: int) -> None:
    """Opens a closed stream on nothing."""
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)


def _writable(number: int, given: TextIO | None) -> TextIO:
    raw = _Output(number, "w", closefd=False)
    encoding = given.encoding if given is not None else "utf-8"
    lines = raw.isatty() or number == STDERR
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=lines, write_through=lines
    )
