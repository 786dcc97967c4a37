"""The limited process in which photos are opened, as those ask it who need one opened."""

from __future__ import annotations

from typing import Any

from nightjar.config.limited_process import LimitedProcess

MEMORY_BYTES = 2 * 2**30
CPU_S, WALL_S = 30.0, 120.0
ANSWER_BYTES = 16_000_000


def photo_opener() -> LimitedProcess:
    """The process that opens photos; to be closed."""
    return LimitedProcess(
        "nightjar.workers.photos.decode_child",
        memory_bytes=MEMORY_BYTES,
        cpu_s=CPU_S,
        wall_s=WALL_S,
        answer_bytes=ANSWER_BYTES,
    )


def refusal_of(made: dict[str, Any] | str) -> str:
    """Why it gave no photo."""
    return made if isinstance(made, str) else str(made.get("error", "it is no photo"))
