"""A dispatcher's chores of the night: deadlines, stalls, telling a run's end, dropping what is old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from nightjar.config.errors import NightjarError
from nightjar.config.settings import Settings
from nightjar.jobs import leases
from nightjar.jobs.database import Database
from nightjar.pipeline.closing import endings
from nightjar.pipeline.nights.retention import retain
from nightjar.pipeline.notify.deliveries import deliver_due

END_EVERY_S = 1.0
DELIVER_EVERY_S = 1.0
LOOK_EVERY_S = 10.0
RETAIN_EVERY_S = 600.0
_log = structlog.get_logger()


class NightWatch:
    """One dispatcher's; `name` is the dispatcher's."""

    def __init__(self, database: Database, settings: Settings, name: str) -> None:
        self._database = database
        self._settings = settings
        self._name = name
        self._since: datetime | None = None

    def chores(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        """(seconds between, work); a call that takes long holds up no other chore."""
        return [
            (END_EVERY_S, self.end),
            (DELIVER_EVERY_S, self.deliver),
            (LOOK_EVERY_S, self.look),
            (RETAIN_EVERY_S, self.retain),
        ]

    async def end(self) -> None:
        """Stops runs at their deadline, and writes down whom to tell of runs that have ended."""
        await endings.stop_late(self._database)
        await endings.finish_ended(self._name, self._settings, self._database)

    async def deliver(self) -> None:
        """Tells whom it is written to tell."""
        await deliver_due(self._settings.night, self._name, self._database)

    async def look(self) -> None:
        """Tells of runs that do not move."""
        if self._since is None:
            self._since = await self._database.now()
        await endings.watch_stalls(self._since, self._database)

    async def retain(self) -> None:
        """Drops transcripts of nights that are old by settings and schedules."""
        async with leases.hold("retention", self._name, endings.CLOSING_LEASE_S, self._database) as mine:
            if not mine:
                return
            try:
                await retain(self._database, self._settings.night)
            except NightjarError as error:
                if error.transient:
                    raise
                _log.error("retention_hindered", error=str(error))
