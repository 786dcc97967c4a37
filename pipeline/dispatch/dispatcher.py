"""Keeps things moving from MongoDB: a table of chores, each with its period.

Any number of dispatchers may run: every write is a compare-and-set or a repeatable insert, and ringing twice for a job
is harmless. A standby, which runs beside a worker or a waiting command, leaves the chores to whoever else does them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property, wraps

import structlog

from nightjar.config.errors import SchemaError, SettingsError
from nightjar.config.settings import Settings
from nightjar.jobs import leases, schema
from nightjar.jobs.accounts.token_days import fold_settled
from nightjar.jobs.accounts.token_ledger import settle_left_requests
from nightjar.jobs.closers import Closer
from nightjar.jobs.expiry import drop_old
from nightjar.jobs.live.runs import cancel_forgotten_live, remove_ended_live
from nightjar.jobs.money.spending import settle_lost
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.periodic import board, ended, every
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.redis_in_use import RedisInUse, mongo_in_use
from nightjar.jobs.routing.handing_on import leave_paused_endpoints
from nightjar.jobs.runs.removal import finish_removals
from nightjar.jobs.schema import SCHEMA_EVERY_S
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.jobs.troubles import StoredBoard
from nightjar.pipeline.closing import endings
from nightjar.pipeline.closing.finish import close_finished
from nightjar.pipeline.dispatch.advance import advance_runs
from nightjar.pipeline.dispatch.interrupted import finish_expansions, settle_runs
from nightjar.pipeline.dispatch.lapsed_leases import take_back_lapsed
from nightjar.pipeline.dispatch.ringing import RING_EVERY_S, Ringer
from nightjar.pipeline.nights.retention import retain
from nightjar.pipeline.nights.schedules import fire_due
from nightjar.pipeline.notify.deliveries import make_calls, run_commands
from nightjar.pipeline.runs.this_home import this_home
from nightjar.pipeline.search.refresh import IndexRefresher

ENDING_S = 5.0
"""How long the chores of a dispatcher that is to stop may finish what they are at."""
INDEX_EVERY_S = 30.0
Chore = Callable[[], Awaitable[None]]
_log = structlog.get_logger()


class Dispatcher:
    """Does the chores of one dispatcher until it is told to stop.

    A chore does a little work and returns; all it remembers it can do without, since the next look at MongoDB shows
    what is left to do. Chores run side by side: one that takes long, or fails, holds up no other.

    A `standby` keeps jobs moving while no other dispatcher's mark counts; it closes runs, calls their hooks and fires
    schedules as far as those say that it may (`jobs.closers`), while nobody lives who was started for that.
    """

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        settings: Settings,
        *,
        standby: bool = False,
        embedder: EmbedderOpener | None = None,
    ) -> None:
        """`embedder`: opens this host's, for the search index and for policies of schedules; None: it has none."""
        self._database = database
        self._settings = settings
        self._standby = standby
        self._name = f"dispatcher-{random.getrandbits(48):x}"  # a name, not a secret
        self._redis = RedisInUse(doorbell=doorbell, database=database, mongo=mongo_in_use(settings))
        self._ringer = Ringer(database, doorbell)
        self._embedder = embedder
        self._index = None if embedder is None else IndexRefresher(embedder, self._name, database)
        self._watching_since: datetime | None = None
        self._stop: asyncio.Event | None = None
        self._refused = False
        self._on_duty = not standby
        self._closes = not standby

    @cached_property
    def closer(self) -> Closer:
        """What it is to the runs that it may close."""
        return Closer(here=this_home(self._settings), dispatcher=not self._standby)

    def chores(self) -> list[tuple[float, Chore]]:
        """(seconds between, chore)"""
        moving: list[tuple[float, Chore]] = [
            (RING_EVERY_S, self._ringer.ring_when_due),
            (1.0, self.take_back),
            (1.0, self.advance),
            (1.0, self.stop_late),
            (5.0, self.settle_lost),
            (5.0, self.settle_left_requests),
            (5.0, self.fold_settled),
            (5.0, self.finish_expansions),
            (1.0, self.hand_on),
            (10.0, self.watch_stalls),
            (10.0, self.finish_removals),
            (30.0, self.settle),
            (30.0, self.remove_ended_live),
            (600.0, self.retain),
        ]
        closing: list[tuple[float, Chore]] = [
            (1.0, self.close),
            (1.0, self.fire),
            (1.0, self.end),
            (1.0, self.make_calls),
            (1.0, self.run_commands),
        ]
        return [
            (2.0, self.mark),
            (5.0, self.check_redis),
            (INDEX_EVERY_S, self.refresh_index),
            *((period_s, _where(lambda: self._on_duty, chore)) for period_s, chore in moving),
            *((period_s, _where(lambda: self._closes, chore)) for period_s, chore in closing),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, and for a few seconds more. A server that goes away is waited for.

        Raises SchemaError where a newer Nightjar takes the database over.
        """
        self._stop = stop
        await asyncio.to_thread(lambda: self.closer)  # the user's scorers may take long to import
        _log.info("dispatcher_started", dispatcher=self._name, standby=self._standby)
        shown = StoredBoard(f"dispatcher {socket.gethostname()}:{os.getpid()}", self._database)
        board.set(shown)
        tasks = [
            asyncio.create_task(every(period_s, chore, stop, name=chore.__name__), name=chore.__name__)
            for period_s, chore in self.chores()
        ]
        try:
            await every(SCHEMA_EVERY_S, self.watch_schema, stop, name="watch_schema", raises=SchemaError)
        finally:
            stop.set()
            left = await ended(tasks, within_s=ENDING_S)
            await shown.take_down()
            with contextlib.suppress(DatabaseError):
                await leases.end_watch(self._name, self._database)
            _log.info("dispatcher_stopped", dispatcher=self._name, hanging=[task.get_name() for task in left])

    async def check_redis(self) -> None:
        """Raises SettingsError for another Redis than the one in use. Who rings there is not heard, so that others had
        better dispatch: no mark is left then.
        """
        try:
            await self._redis.check()
        except SettingsError:
            self._refused = True
            self._on_duty = self._closes = not self._standby
            raise
        self._refused = False

    async def mark(self) -> None:
        """Leaves a sign of life, and sees whether others leave theirs."""
        if self._refused:
            return
        if not self._standby:
            await leases.mark_dispatcher(self._name, self._database, silent_s=self._ringer.silent_s)
            return
        silent_s = self._ringer.silent_s if self._on_duty else 0.0
        mark = await leases.stand_by(self._name, self.closer.here, self._database, silent_s=silent_s)
        was, self._on_duty, self._closes = self._on_duty, mark.owner == self._name, mark.standby
        if self._on_duty is not was:
            self._ringer.begin()
            _log.info("dispatching" if self._on_duty else "standing_by", dispatcher=self._name, others=mark.owner)

    async def take_back(self) -> None:
        """Makes PENDING again what vanished workers held."""
        await take_back_lapsed(self._database)

    async def advance(self) -> None:
        """Moves runs on whose jobs have ended, and rings at once where that made new jobs."""
        if await advance_runs(self._database):
            self._ringer.hurry()

    async def close(self) -> None:
        """Writes the reports of runs whose work is done, which are DONE then."""
        await close_finished(self._name, self._settings.reports_dir, self._database, self._stop, closer=self.closer)

    async def fire(self) -> None:
        """Enqueues what schedules ask for."""
        await fire_due(self._database, closer=self.closer, embedder=self._embedder)

    async def stop_late(self) -> None:
        """Stops runs at their deadline, and those whose budget is used up."""
        await endings.stop_late(self._database)
        await endings.stop_spent(self._database)

    async def hand_on(self) -> None:
        """Hands jobs of policies on whose model's endpoint is paused."""
        if await leave_paused_endpoints(self._database):
            self._ringer.hurry()

    async def settle_lost(self) -> None:
        """Counts what vanished workers had sent to endpoints as if all that was reserved was used."""
        await settle_lost(self._database)

    async def settle_left_requests(self) -> None:
        """Counts what requests with API tokens took whose server vanished."""
        await settle_left_requests(self._database)

    async def fold_settled(self) -> None:
        """Makes sums by day of what requests with API tokens took."""
        await fold_settled(self._database)

    async def end(self) -> None:
        """Records whom to notify of runs that have ended, and writes the reports of those that were stopped."""
        await endings.finish_ended(self._name, self._settings, self._database, self._stop, closer=self.closer)

    async def make_calls(self) -> None:
        """Makes the web calls and sends the mails that are recorded as due."""
        await make_calls(self._settings.night, self._name, self._database, self._stop, closer=self.closer)

    async def run_commands(self) -> None:
        """Runs the commands that are recorded as due."""
        await run_commands(self._settings.night, self._name, self._database, self._stop, closer=self.closer)

    async def finish_expansions(self) -> None:
        """Finishes what a producer left half-written."""
        await finish_expansions(self._name, self._database)

    async def finish_removals(self) -> None:
        """Finishes what a `run rm` left half-deleted."""
        await finish_removals(self._name, self._database)

    async def watch_stalls(self) -> None:
        """Notifies of runs that do not move."""
        if self._watching_since is None:
            self._watching_since = await self._database.now()
        await endings.watch_stalls(self._watching_since, self._database)

    async def settle(self) -> None:
        """Finishes a pause, stop or cancel that was interrupted."""
        await settle_runs(self._database)

    async def remove_ended_live(self) -> None:
        """Removes live requests whose time is over, with their conversations, and ends those that were forgotten."""
        await cancel_forgotten_live(self._settings.live.wait_s, self._database)
        await remove_ended_live(self._settings.live.keep_s, self._database)

    async def retain(self) -> None:
        """Drops transcripts of nights and other records that are old by settings and schedules."""
        async with leases.hold("retention", self._name, endings.CLOSING_LEASE_S, self._database) as mine:
            if mine:
                await drop_old(self._settings.night.keep_records_days, self._database)
                await retain(self._database, self._settings.night, closer=self.closer)

    async def refresh_index(self) -> None:
        """Embeds what has ended for searches, on a host that has a small embedder, while nothing is at work."""
        if self._index is not None:
            await self._index.refresh()

    async def watch_schema(self) -> None:
        """Raises SchemaError where a newer Nightjar has taken the database over."""
        await schema.check_not_ahead(self._database)


def _where(condition: Callable[[], bool], chore: Chore) -> Chore:
    """The chore, left out of the rounds in which it is not this dispatcher's."""

    @wraps(chore)
    async def work() -> None:
        if condition():
            await chore()

    return work
