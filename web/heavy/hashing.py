"""The process that hashes a model's files for the page: `python -m nightjar.web.heavy.hashing`.

It reads {"places", "model"} from standard input and writes lines: {"done", "total"} in bytes, and in the end {"checks"}
or {"error"}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic

from nightjar.config.errors import NightjarError
from nightjar.web.heavy.folders import settings_in
from nightjar.workers.library.find import find_file
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.library.verify import verify

SAY_EVERY_S = 0.5


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    order = json.load(sys.stdin)

    def say(line: dict[str, object]) -> None:
        print(json.dumps(line), file=answers, flush=True)

    try:
        say({"checks": check_files(order["places"], order["model"], say)})
    except (NightjarError, OSError) as error:
        say({"error": str(error)})


def check_files(places: str, model: str, say: Callable[[dict[str, object]], None]) -> list[dict[str, object]]:
    """What was found and expected of each file; `say` is told of the progress."""
    settings = settings_in(places)
    entry = find_file(model, settings)
    total = sum(part.stat().st_size for part in parts_of(entry.path))
    done, said_at = 0, monotonic()
    say({"done": done, "total": total})

    def advance(count: int) -> None:
        nonlocal done, said_at
        done += count
        if monotonic() - said_at >= SAY_EVERY_S:
            said_at = monotonic()
            say({"done": done, "total": total})

    checks = verify(entry, settings, advance=advance)
    return [{**asdict(check), "wrong": check.wrong} for check in checks]


if __name__ == "__main__":
    main()
