"""The part of a dispatcher that closes runs, killed by SIGKILL around a look. Tests run it as a process.

python -m tests.dying_look MONGO_URL DATABASE FOLDER POINT
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nightjar.jobs.database import connect
from nightjar.pipeline.closing import finish, look
from nightjar.pipeline.runs import write_jobs


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


POINTS: dict[str, Callable[[], None]] = {
    "before it is stored": lambda: setattr(look, "record_look", die),
    "before the wave's jobs": lambda: setattr(look, "finish_expansion", die),
    "after the wave's jobs": lambda: setattr(write_jobs, "_mark", die),
    "before the run is closed": lambda: setattr(finish, "complete_judging", die),
}


async def main(url: str, name: str, folder: str, point: str) -> None:
    POINTS[point]()
    async with await connect(SecretStr(url), name) as database:
        await finish.close_finished("dying", Path(folder), database)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
