"""Renders chat templates in a process of their own, kept warm, which may die of them: `RendererProcess`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.config.interpreter import PYTHON
from nightjar.jobs.identity import digest
from nightjar.workers.conversation.template_child import encode_frame, read_frame
from nightjar.workers.conversation.template_meter import MAX_OBJECT
from nightjar.workers.conversation.template_render import TEMPLATE_REMEDY

MEMORY_BYTES = 2**30
CPU_S = 30.0
"""Processor time of one rendering. The meter stops all that is known to be slow long before."""
WALL_S = 120.0
"""Time for one rendering on a machine that is busy with other work."""
MOST_ENDS = 3
"""A template that ended its process so many times is not rendered again: each time costs up to `CPU_S`."""
ANSWER_BYTES = 6 * MAX_OBJECT
KEPT_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""All that the process gets of this one's environment: what Python needs to start."""


class RendererProcess:
    """A `Renderer` that keeps one process, started with the first template and again after each end."""

    def __init__(
        self,
        *,
        module: str = "nightjar.workers.conversation.template_child",
        memory_bytes: int = MEMORY_BYTES,
        cpu_s: float = CPU_S,
        wall_s: float = WALL_S,
    ) -> None:
        self._command: Sequence[str] = (*PYTHON, "-m", module, str(memory_bytes), str(cpu_s))
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: Counter[str] = Counter()

    def __enter__(self) -> RendererProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, if there is one. Idempotent."""
        with self._lock:
            self._end()

    def compile(self, source: str, date: str) -> None:
        """See `Renderer`."""
        self._ask(source, date, None)

    def render(self, source: str, date: str, variables: Mapping[str, Any]) -> str:
        """See `Renderer`. The variables are what JSON can hold."""
        return self._ask(source, date, variables)

    def _ask(self, source: str, date: str, variables: Mapping[str, Any] | None) -> str:
        template = digest(source)
        question = encode_frame({"source": source, "date": date, "variables": variables})
        with self._lock:
            if self._ends[template] >= MOST_ENDS:
                raise TemplateError(
                    f"The chat template ended the process that renders it {MOST_ENDS} times and is not tried again. "
                    f"{TEMPLATE_REMEDY}"
                )
            answer = self._try(question)
            if answer in (signal.SIGKILL.name, signal.SIGTERM.name):  # by a person, or for somebody else's memory
                answer = self._try(question)
            if isinstance(answer, str):
                self._ends[template] += 1
                raise TemplateError(f"The chat template ended the process that renders it: {answer}. {TEMPLATE_REMEDY}")
        if "text" in answer:
            return str(answer["text"])
        raise TemplateError(" ".join(str(answer.get("error")).split())[:2000])

    def _try(self, question: bytes) -> dict[str, Any] | str:
        """The answer, or how the process ended instead of answering."""
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
            answer = read_frame(process.stdout, ANSWER_BYTES)
        except (OSError, ValueError, RecursionError):
            answer = None
        finally:
            timer.cancel()
        if isinstance(answer, dict):
            return answer
        code = self._end()
        return f"no answer in {self._wall_s:g} s" if late.is_set() else self._told(code)

    def _told(self, code: int | None) -> str:
        if code == -signal.SIGXCPU:
            return f"more than {self._cpu_s:g} s of processor time"
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return "no answer that can be read" if code is None else f"exit code {code}"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, env=kept)
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


def _close(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
