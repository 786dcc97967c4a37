"""One event loop in a thread of its own, in which all work of `import nightjar` runs, whoever calls.

So the same calls work in a script, in threads, and inside a running event loop: a plain call waits for its work, an
async one awaits it. Interrupted or cancelled, work cleans up before the caller goes on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from nightjar.config.errors import UsageError
from nightjar.config.logging import configure_for_program

T = TypeVar("T")
_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""Process id -> its loop: threads do not survive a fork."""


def wait_for_work(work: Coroutine[Any, Any, T]) -> T:
    """Runs the work in the background and waits for it. Ctrl-C ends it first. Raises what it raises."""
    loop = _background_loop()
    if threading.current_thread().name == _thread_name():
        work.close()
        raise UsageError("A plain call was made inside Nightjar's own thread; use the async form there.")
    running = _Work(work, loop)
    try:
        return running.outcome.result()
    except BaseException:
        if not running.outcome.done():
            running.cancel()
            concurrent.futures.wait([running.outcome])
        raise


async def await_work(work: Coroutine[Any, Any, T]) -> T:
    """The same for a caller with an event loop of its own."""
    running = _Work(work, _background_loop())
    future = asyncio.wrap_future(running.outcome)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not running.outcome.done():
            running.cancel()
            await asyncio.wait([future])
        with suppress(BaseException):
            future.exception()  # seen, so that asyncio does not complain
        raise


def iterate_work(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of a generator that belongs to the background loop. Leaving the iteration early closes it."""
    try:
        while (item := wait_for_work(_next(items))) is not None:
            yield item[0]
    finally:
        wait_for_work(items.aclose())


async def aiterate_work(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same for a caller with an event loop of its own."""
    try:
        while (item := await await_work(_next(items))) is not None:
            yield item[0]
    finally:
        await await_work(items.aclose())


async def _next(items: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for item in items:
        return (item,)
    return None


class Closing(ABC):
    """What is closed at the end of a `with` or `async with` block."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Work(Generic[T]):
    """A task of the background loop. Its outcome is there when it has ended, clean-up included."""

    def __init__(self, work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._task: asyncio.Task[T] | None = None
        self._loop = loop
        loop.call_soon_threadsafe(self._begin, work)

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(lambda: self._task is not None and self._task.cancel())

    def _begin(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _background_loop() -> asyncio.AbstractEventLoop:
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            configure_for_program()
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=_thread_name(), daemon=True).start()
        return loop


def _thread_name() -> str:
    return f"nightjar-{os.getpid()}"
