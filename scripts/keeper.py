"""Looks after the embedded servers and the home while a command runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr

from nightjar.config import embedded
from nightjar.config.errors import NightjarError, ServiceError
from nightjar.config.home_users import work_in
from nightjar.config.settings import Settings
from nightjar.jobs.database import OPERATION_TIMEOUT_S, reconnect, still_answers
from nightjar.jobs.mongo import Database

T = TypeVar("T")
LOOK_S = 2.0
"""How often a command checks that the embedded servers are still up."""
LOOKS = 3
"""In a row before a server counts as stopped for good, or a client as stuck: one that restarts is neither."""
END_S = 24.0
"""How long a process whose home is gone may take to end by itself."""
_log = structlog.get_logger()


class Keeper:
    """Restarts embedded servers that were killed, so that a night's run survives it; follows MongoDB to another
    address; ends the process when its home was deleted, and `command`, which a person waits for, when the servers were
    stopped on purpose. Does nothing of that where both servers have a URL.

    It also replaces a client that has lost a MongoDB that answers others.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        mongo: SecretStr,
        *,
        command: asyncio.Task[Any] | None,
        ends_process: bool = True,
    ) -> None:
        self._settings = settings
        self._ends_process = ends_process
        self._database = database
        self._mongo = mongo
        self._command = command
        self._stopped: list[str] = []
        self._stopped_looks = self._unanswered = 0
        self._errors: dict[str, NightjarError | None] = {}
        # While it is open no other folder can get the same number.
        begun = bool(embedded.embedded_kinds(settings)) and settings.home.is_dir()
        self._home = os.open(settings.home, os.O_RDONLY) if begun else None
        self._sign = work_in(settings.home)

    async def run(self) -> None:
        """Until it is cancelled. What goes wrong is logged, and tried again."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._revive()
                if not self._heed_stop():
                    await self._follow()
            except Exception:
                if not self._home_is_gone():
                    _log.exception("keeper_failed")
            if self._home_is_gone():
                await self._end()
                return  # the process is a program's own; `check` says what happened

    def check(self) -> None:
        """Raises ServiceError if this process has lost its home, or the servers in it."""
        if self._home_is_gone():
            raise ServiceError(self._farewell())
        if self._stopped:
            assert self._command is not None
            self._command.uncancel()
            raise ServiceError(
                f"While this command worked, `nightjar services down` stopped {' and '.join(self._stopped)}. What was "
                "written stays written; give the command again."
            )

    def _heed_stop(self) -> bool:
        """Whether the servers were stopped on purpose. Nobody means to bring them back then, so the command ends."""
        found = embedded.stopped(self._settings)
        self._stopped_looks = self._stopped_looks + 1 if found else 0
        if self._command is not None and not self._stopped and self._stopped_looks >= LOOKS:
            self._stopped = found
            self._command.cancel()
        return bool(found)

    def _farewell(self) -> str:
        return (
            f"The home {self._settings.home} was deleted or moved while this process worked in it, so it ends. If it "
            "was moved, give the command again there; else a command that writes begins a new one."
        )

    def close(self) -> None:
        for descriptor in (self._home, self._sign):
            if descriptor is not None:
                os.close(descriptor)
        self._home = self._sign = None

    async def _revive(self) -> None:
        if self._home_is_gone():
            return
        for name, error in (await _in_daemon_thread(partial(embedded.revive, self._settings))).items():
            if error is None:
                _log.warning("embedded_server_revived", server=name)
            elif str(self._errors.get(name)) != str(error):  # a full disk stays full all night
                _log.warning("embedded_server_away", server=name, error=str(error))
            self._errors[name] = error

    async def _follow(self) -> None:
        self._unanswered = 0 if await still_answers(self._database) else self._unanswered + 1
        with contextlib.suppress(NightjarError):
            url = await asyncio.to_thread(embedded.latest_mongo_url, self._settings, self._mongo)
            if url == self._mongo and self._unanswered < LOOKS:
                return
            await reconnect(self._database, url)
            _log.warning("mongo_moved" if url != self._mongo else "mongo_client_replaced")
            self._mongo, self._unanswered = url, 0
            await asyncio.sleep(OPERATION_TIMEOUT_S + LOOK_S)  # what is under way through the old client ends
            await self._database.close_former()

    def _home_is_gone(self) -> bool:
        if self._home is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._home), self._settings.home.stat())
        except OSError:
            return True

    async def _end(self) -> None:
        """Ends the process as SIGTERM does; what does not obey within END_S has nothing left to save."""
        _log.error("home_gone", error=self._farewell())
        await asyncio.to_thread(embedded.stop_without_home, self._settings)
        if not self._ends_process:
            return
        for _ in range(2):  # a worker drains at the first, and ends at the second
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(END_S / 2)
        os._exit(1)


async def _in_daemon_thread(work: Callable[[], T]) -> T:
    """`asyncio.to_thread` for what may take a minute: the process can end without waiting for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await done
