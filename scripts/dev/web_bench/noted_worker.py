"""A worker that notes when its engine handed which text over: `python -m ... FILE worker --model ...`.

Both this machine's clocks and the characters that were handed over so far; the clients note the same of what they get.
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nightjar.jobs.documents import Job
from nightjar.scripts import cli
from nightjar.workers.process import watched_texts
from nightjar.workers.process.watched_texts import GrowingText

Handover = tuple[str, int, int, int, int]
"""Job, fence, turn, characters so far, nanoseconds."""


def main() -> None:
    file = Path(sys.argv.pop(1))
    noted: list[Handover] = []
    atexit.register(lambda: file.write_text(json.dumps(noted), encoding="utf-8"))
    vars(watched_texts)["GrowingText"] = noting(noted)
    cli.main()


def noting(noted: list[Handover]) -> type[GrowingText]:
    """A listener to a turn that notes what it is given, too."""

    class NotedText(GrowingText):
        def __init__(self, job: Job, turn: int, hurry: Callable[[bool], None], **options: Any) -> None:
            super().__init__(job, turn, hurry, **options)
            self._job = job.id
            self._handed = 0

        def take(self, text: str) -> None:
            now = time.monotonic_ns()
            self._handed += len(text)
            noted.append((self._job, self.fence, self.turn, self._handed, now))
            super().take(text)

    return NotedText


if __name__ == "__main__":
    main()
