"""A process that may die of its input, and the parent that reports how it ended."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
START_S = 60.0


class Child:
    """`python -m MODULE`, restarted after each death. `ask` sends it one line and waits for the answer."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def ask(self, line: str, limit_s: float) -> dict[str, str]:
        """The answer, or how the process ended: its signal, or that it took too long and was killed."""
        process = self._process if self._process is not None and self._process.poll() is None else self._start()
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(line + "\n")
            process.stdin.flush()
        try:
            answer = self._lines.get(timeout=limit_s)
        except queue.Empty:
            self.close()
            return {"end": "hung", "said": f"no answer in {limit_s:g} s"}
        if answer:
            found: dict[str, str] = json.loads(answer)
            return found
        code = process.wait()
        return {"end": "died", "said": signal.Signals(-code).name if code < 0 else f"exit code {code}"}

    def _start(self) -> subprocess.Popen[str]:
        self.close()
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            cwd=PROJECT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        assert self._lines.get(timeout=START_S) == "ready\n"
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put("")
