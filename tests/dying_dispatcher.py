"""The part of a dispatcher that notifies of ended runs, killed by SIGKILL at a named point. Tests run it as a process.

python -m tests.dying_dispatcher MONGO_URL DATABASE HOME POINT
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nightjar.config.night_settings import NightSettings
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.pipeline.closing import endings
from nightjar.pipeline.notify import deliveries
from nightjar.pipeline.notify.webhook import WebCall

NIGHT = NightSettings(call_timeout_s=1)


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def done(*arguments: Any, **named: Any) -> Any:
        await work(*arguments, **named)
        die()

    return done


POINTS: dict[str, Callable[[], None]] = {
    "before it is written": lambda: setattr(endings, "write_deliveries", die),
    "after it is written": lambda: setattr(endings, "write_deliveries", dying_after(deliveries.write_deliveries)),
    "before the claim": lambda: setattr(deliveries, "claim_delivery", die),
    "after the claim": lambda: setattr(deliveries, "prepare", die),
    "after the connection": lambda: setattr(deliveries, "_begin", die),
    "before the first byte": lambda: setattr(WebCall, "send", die),
    "inside the call": lambda: None,  # the receiver kills it
    "after the answer": lambda: setattr(deliveries, "_record", die),
    "after the record": lambda: setattr(deliveries, "_record", dying_after(deliveries._record)),
}


async def main(url: str, name: str, home: str, point: str) -> None:
    (Path(home) / "pid").write_text(str(os.getpid()))
    POINTS[point]()
    async with await connect(SecretStr(url), name) as database:
        settings = Settings(home=Path(home), night=NIGHT)
        await endings.finish_ended("dying", settings, database)
        await deliveries.deliver_due(NIGHT, "dying", database)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
