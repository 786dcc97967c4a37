"""Workers that a program starts on this machine and ends again, with a standby dispatcher while there are any."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from nightjar.config.errors import ModelError
from nightjar.config.stopping import OVERDUE_S
from nightjar.jobs.machines.workers import last_reason
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.status.workers import read_workers
from nightjar.scripts.children import Child
from nightjar.scripts.standby import standing_by

if TYPE_CHECKING:
    from nightjar.jobs.status.views import WorkerView
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.session import Session

POLL_S = 0.3


@dataclass(eq=False)
class ServedHere:
    """The workers of one session, by model. Belongs to the event loop of that session."""

    session: Session
    _children: dict[str, Child] = field(default_factory=dict)
    _dispatching: AsyncExitStack = field(default_factory=AsyncExitStack)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def models(self) -> list[str]:
        return list(self._children)

    async def serve(self, model: str, flags: WorkerFlags) -> list[WorkerView]:
        """Starts a worker of the model on each card, and returns them once they are ready; those that serve it already
        are left as they are. Raises UnknownNameError, ModelError with the reason why it does not load."""
        from nightjar.scripts.evaluation import is_bare, take_models

        [entry] = await take_models([model], self.session)
        async with self._lock:
            child = self._children.get(entry.name)
            if child is None or child.process.returncode is not None:
                if not self._children:
                    await self._dispatching.enter_async_context(standing_by(self.session))
                log = self.session.settings.home / "logs" / "workers.log"
                child = await Child.start(flags.serving(entry, bare=is_bare(entry, self.session)), log)
                self._children[entry.name] = child
            try:
                return await self._ready(entry.name, child)
            except BaseException:
                await self._end(entry.name)
                raise

    async def end(self, *models: str) -> None:
        """Ends the workers of these models, or of all: they finish their turns and give the rest of their jobs back."""
        async with self._lock:
            for model in models or self.models:
                await self._end(model)

    async def workers(self) -> list[WorkerView]:
        """Those of all hosts that use this database."""
        return await read_workers(self.session.database)

    async def _end(self, model: str) -> None:
        child = self._children.pop(model, None)
        if child is not None:
            await child.stop(self.session.settings.drain_s + 2 * OVERDUE_S)
        if not self._children:
            await self._dispatching.aclose()

    async def _ready(self, model: str, child: Child) -> list[WorkerView]:
        began = await self.session.database.now()
        while child.process.returncode is None:
            own = [worker for worker in await self.workers() if _belongs(worker, child.process.pid)]
            failed = next((worker for worker in own if worker.state is WorkerStatus.FAILED), None)
            if failed is not None:
                raise ModelError(f"{model} could not be loaded: {failed.reason}")
            if own and all(worker.state is WorkerStatus.READY for worker in own):
                return own
            await asyncio.sleep(POLL_S)
        recorded = await last_reason(model, socket.gethostname(), began, self.session.database)
        raise ModelError(f"{model} could not be served: {recorded or child.last_words()} (log: {child.log})")


def _belongs(worker: WorkerView, supervisor: int) -> bool:
    """Whether the worker is a process of that supervisor's."""
    host, pid, _ = worker.id.rsplit(":", 2)
    try:
        return host == socket.gethostname() and psutil.Process(int(pid)).ppid() == supervisor
    except psutil.Error:
        return False
