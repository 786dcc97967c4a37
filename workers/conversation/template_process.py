"""Renders chat templates in a process of their own, kept warm, which may die of them: `RendererProcess`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.config.limited_process import LimitedProcess
from nightjar.jobs.identity import digest
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
        self._process = LimitedProcess(
            module, memory_bytes=memory_bytes, cpu_s=cpu_s, wall_s=wall_s, answer_bytes=ANSWER_BYTES
        )
        self._lock = threading.Lock()
        self._ends: Counter[str] = Counter()

    def __enter__(self) -> RendererProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, if there is one. Idempotent."""
        with self._lock:
            self._process.close()

    def compile(self, source: str, date: str) -> None:
        """See `Renderer`."""
        self._ask(source, date, None)

    def render(self, source: str, date: str, variables: Mapping[str, Any]) -> str:
        """See `Renderer`. The variables are what JSON can hold."""
        return self._ask(source, date, variables)

    def _ask(self, source: str, date: str, variables: Mapping[str, Any] | None) -> str:
        template = digest(source)
        with self._lock:
            if self._ends[template] >= MOST_ENDS:
                raise TemplateError(
                    f"The chat template ended the process that renders it {MOST_ENDS} times and is not tried again. "
                    f"{TEMPLATE_REMEDY}"
                )
            answer = self._process.ask({"source": source, "date": date, "variables": variables})
            if isinstance(answer, str):
                self._ends[template] += 1
                raise TemplateError(f"The chat template ended the process that renders it: {answer}. {TEMPLATE_REMEDY}")
        if "text" in answer:
            return str(answer["text"])
        raise TemplateError(" ".join(str(answer.get("error")).split())[:2000])
