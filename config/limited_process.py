"""A process that does what may hang, crash or take all memory, kept warm and started again after each end.

It has limits of its own, no secrets in its environment, and nothing open but two pipes (`limited_child.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from nightjar.config.interpreter import PYTHON
from nightjar.config.limited_child import encode_frame, read_frame

KEPT_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""All that the process gets of this one's environment: what Python needs to start."""


class LimitedProcess:
    """Asks a module that is run by `limited_child.answer_questions`. For one thread at a time."""

    def __init__(self, module: str, *, memory_bytes: int, cpu_s: float, wall_s: float, answer_bytes: int) -> None:
        """`cpu_s`: processor time of one question; `wall_s`: time on a machine that is busy with other work."""
        self._command: Sequence[str] = (*PYTHON, "-m", module, str(memory_bytes), str(cpu_s))
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._answer_bytes = answer_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: Any) -> dict[str, Any] | str:
        """The answer, or how the process ended instead of answering."""
        data = encode_frame(question)
        answer = self._try(data)
        if answer in (signal.SIGKILL.name, signal.SIGTERM.name):  # by a person, or for somebody else's memory
            answer = self._try(data)
        return answer

    def close(self) -> None:
        """Ends the process, if there is one. Idempotent."""
        self._end()

    def _try(self, question: bytes) -> dict[str, Any] | str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._wall_s, stop)
        timer.start()
        try:
            process.stdin.write(question)
            process.stdin.flush()
            answer = read_frame(process.stdout, self._answer_bytes)
        except (OSError, ValueError, RecursionError):
            answer = None
        finally:
            timer.cancel()
        if isinstance(answer, dict):
            return answer
        code = self._end()
        return f"no answer in {self._wall_s:g} s" if late.is_set() else self._told(code)

    def _told(self, code: int | None) -> str:
        if code in (-signal.SIGXCPU, -signal.SIGPROF):
            return f"more than {self._cpu_s:g} s of processor time"
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return "no answer that can be read" if code is None else f"exit code {code}"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, env=bare_environment())
            weakref.finalize(self, _close, self._process)
        return self._process

    def _end(self) -> int | None:
        """Ends the process; how it had ended before, None if it had not."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)  # its pipe ends a moment before it does
        code = process.returncode
        _close(process)
        return code


def bare_environment() -> dict[str, str]:
    """Of this process's environment what Python needs to start, and nothing else."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}


def _close(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
