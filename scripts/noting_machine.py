"""A process that lasts notes how its machine stands, several times a minute, for the page's charts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.session import Session

NOTE_EVERY_S = 15.0


@dataclass(kw_only=True)
class MachineNotes:
    """The readings of the minute that it is."""

    folder: Path
    database: Database
    host: str = field(default_factory=socket.gethostname)
    _minute: datetime | None = None
    _readings: list[dict[str, Any]] = field(default_factory=list)

    async def note(self) -> None:
        """Takes a reading, and writes the minute so far."""
        from nightjar.jobs.machines.machine_readings import this_minute, write_reading
        from nightjar.workers.library.machine import minute_so_far, read_machine

        minute = await this_minute(self.database)
        if minute != self._minute:
            self._minute, self._readings = minute, []
        self._readings.append(await asyncio.to_thread(read_machine, self.folder))
        await write_reading(self.host, minute, minute_so_far(self._readings), self.database)


@asynccontextmanager
async def noting_machine(session: Session) -> AsyncIterator[None]:
    """For as long as the block runs; several processes of a machine may do so."""
    from nightjar.jobs.periodic import end_task, every

    notes = MachineNotes(folder=session.settings.home, database=session.database)
    stop = asyncio.Event()
    task = asyncio.create_task(every(NOTE_EVERY_S, notes.note, stop, name="machine"))
    try:
        yield
    finally:
        await end_task(task)
