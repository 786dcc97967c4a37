"""`nightjar.Manager`: the models of this machine and the workers that serve them, in a program. See docs/python.md."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from nightjar.background import Closing, await_work, wait_for_work
from nightjar.config.errors import UsageError
from nightjar.sessions import program_session
from nightjar.worker_flags import checked_flags

if TYPE_CHECKING:
    from nightjar.jobs.status.views import WorkerView
    from nightjar.scripts.served_here import ServedHere
    from nightjar.workers.library.describe import ModelDetail
    from nightjar.workers.library.inventory import Held

Models = list["Held"]
Workers = list["WorkerView"]


class Manager(Closing):
    """Lists models, and starts and ends workers of them: processes that take the jobs of runs, each on its own card.

    (`nightjar.load` instead loads a model into this process.) Each method has an async form, whose name begins with
    `a`. The workers end with `close`, at the end of a `with` or `async with` block, and with this process.
    """

    def __init__(self) -> None:
        self._served: ServedHere | None = None
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()

    def list(self, wanted: str | None = None) -> Models:
        """Every model that is known here, with its state; `wanted`: chat, base, embedding or judge. Starts nothing."""
        return wait_for_work(self._list(wanted))

    async def alist(self, wanted: str | None = None) -> Models:
        """See `list`."""
        return await await_work(self._list(wanted))

    def info(self, model: str) -> ModelDetail:
        """What the file says, the memory it takes, and how it would be loaded here. Raises UnknownNameError."""
        return wait_for_work(_info(model))

    async def ainfo(self, model: str) -> ModelDetail:
        """See `info`."""
        return await await_work(_info(model))

    def load(
        self, model: str, *, gpu: str | None = None, slots: int | None = None, threads: int | None = None
    ) -> Workers:
        """Starts a worker of the model on each card (`gpu`: on that one; "none": on the CPU) and waits until it is
        ready. Loading what this manager has loaded changes nothing. Raises UnknownNameError, ModelError."""
        return wait_for_work(self._load(model, gpu, slots, threads))

    async def aload(
        self, model: str, *, gpu: str | None = None, slots: int | None = None, threads: int | None = None
    ) -> Workers:
        """See `load`."""
        return await await_work(self._load(model, gpu, slots, threads))

    def unload(self, model: str) -> None:
        """Ends this manager's workers of the model; what they have not finished goes back to the queue. Raises
        UsageError for a model that it has not loaded."""
        wait_for_work(self._unload(model))

    async def aunload(self, model: str) -> None:
        """See `unload`."""
        await await_work(self._unload(model))

    def stats(self) -> Workers:
        """The workers of all hosts on this database: model, state, slots used, tokens per second, last beat."""
        return wait_for_work(_stats())

    async def astats(self) -> Workers:
        """See `stats`."""
        return await await_work(_stats())

    def close(self) -> None:
        """Ends all workers that this manager has started. Idempotent."""
        wait_for_work(self._close())

    async def aclose(self) -> None:
        """See `close`."""
        await await_work(self._close())

    async def _list(self, wanted: str | None) -> Models:
        from nightjar.config.settings import load_settings
        from nightjar.scripts.views.models import inventory_rows

        return await inventory_rows(wanted, settings=load_settings())

    async def _load(self, model: str, gpu: str | None, slots: int | None, threads: int | None) -> Workers:
        from nightjar.scripts.served_here import ServedHere

        flags = checked_flags(gpu, slots, threads)
        async with self._opening:
            if self._served is None:
                session = await self._opened.enter_async_context(program_session())
                self._served = ServedHere(session=session)
        return await self._served.serve(model, flags)

    async def _unload(self, model: str) -> None:
        loaded = self._served.models if self._served is not None else []
        if self._served is None or model not in loaded:
            shown = ", ".join(loaded) or "none"
            raise UsageError(
                f"This manager has not loaded {model!r} (loaded: {shown}). A worker that another process has started "
                "is ended there; `nightjar status` names its host."
            )
        await self._served.end(model)

    async def _close(self) -> None:
        async with self._opening:
            if self._served is not None:
                await self._served.end()
            self._served = None
            await self._opened.aclose()


async def _info(model: str) -> ModelDetail:
    from nightjar.config.settings import load_settings
    from nightjar.workers.library.describe import describe
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.memory_model import memory_model_bytes

    settings = load_settings()
    return await asyncio.to_thread(lambda: describe(find_file(model, settings), memory_model_bytes(settings)))


async def _stats() -> Workers:
    from nightjar.jobs.status.workers import read_workers

    async with program_session() as session:
        return await read_workers(session.database)
