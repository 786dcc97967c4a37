"""Waiting for MongoDB ends when the waiting is cancelled, whatever the driver makes of that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pymongo.errors import AutoReconnect

from nightjar.jobs.patience import patiently


class Driver:
    """An operation that turns its own cancellation into a lost connection, as pymongo's can."""

    def __init__(self, *, failures: int = 0) -> None:
        self.begun = asyncio.Event()
        self.failures = failures
        self.calls = 0

    async def hang(self) -> None:
        self.calls += 1
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise AutoReconnect("operation cancelled") from None

    async def forget(self) -> None:
        """As `asyncio.wait_for` does in Python 3.11 where answer and cancellation come together."""
        self.calls += 1
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async def work(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        if self.calls <= self.failures:
            raise AutoReconnect("away")
        return "done"


@pytest.mark.parametrize("operation", [Driver.hang, Driver.forget])
async def test_a_cancellation_that_the_driver_swallows_is_one(operation: Callable[[Driver], Awaitable[None]]) -> None:
    """The command would go on for ever after Ctrl-C: each new try may last, and so may a loop that asks again."""
    driver = Driver()
    waiting = asyncio.create_task(patiently(lambda: operation(driver)))
    await driver.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 10)
    assert driver.calls == 1


async def test_cleaning_up_after_a_cancellation_is_patient_too() -> None:
    """A job is given back by a task that was cancelled: that write is tried again like any other."""
    driver = Driver(failures=2)
    results: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            results.append(await patiently(driver.work))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert (results, driver.calls) == (["done"], 3)
