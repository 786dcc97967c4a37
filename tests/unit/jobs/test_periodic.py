"""Work that is done again and again: an error costs one round, a cancellation ends it however it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from nightjar.config.errors import UsageError
from nightjar.jobs import periodic
from nightjar.jobs.hindered import Hindrances
from nightjar.jobs.periodic import board, ended, every


class Shown:
    """A board that remembers what it was shown."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, str]] = []

    async def show(self, chore: str, hindrances: Hindrances, next_in_s: float) -> None:
        self.rounds.append(dict(hindrances.now))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr(periodic, "AWAY_PAUSE_S", 0.01)
    return Shown()


async def rounds_of(errors: list[Exception | None], shown: Shown) -> None:
    """Work that meets these errors, one a round."""
    stop = asyncio.Event()

    async def work() -> None:
        error = errors.pop(0)
        if not errors:
            stop.set()
        if error is not None:
            raise error

    board.set(shown)
    await asyncio.wait_for(every(0.001, work, stop, name="chore"), 20)


async def test_an_error_costs_one_round_and_is_shown(shown: Shown) -> None:
    """It is logged with its traceback when it is new; the board is told in each round, also when all is well again."""
    same = KeyError("judging")
    with capture_logs() as events:
        await rounds_of([same, same, UsageError("a wrong setting"), None], shown)
    assert [(event["event"], event.get("exc_info")) for event in events] == [
        ("chore_failed", same),
        ("chore_failed", None),
        ("works_again", None),
    ]
    assert [bool(hindered) for hindered in shown.rounds] == [True, True, True, False]
    assert shown.rounds[0] == {"": "KeyError: 'judging'"}


async def test_a_server_that_is_away_is_waited_for_and_not_shown_as_a_failure(shown: Shown) -> None:
    with capture_logs() as events:
        await rounds_of([AutoReconnect("no"), AutoReconnect("no"), None], shown)
    assert [event["event"] for event in events] == ["hindered", "works_again"]
    assert shown.rounds == [{}]


async def test_an_error_that_is_to_end_the_work_ends_it() -> None:
    async def work() -> None:
        raise UsageError("the card belongs to another worker")

    with pytest.raises(UsageError):
        await every(0.001, work, asyncio.Event(), name="card", raises=UsageError)


async def as_an_error_of_the_driver() -> None:
    raise AutoReconnect("connection closed")


async def as_nothing_at_all() -> None:
    pass


async def as_a_defect() -> None:
    raise RuntimeError("this event loop is closing")


@pytest.mark.parametrize("answer", [as_an_error_of_the_driver, as_nothing_at_all, as_a_defect])
async def test_a_cancellation_ends_the_work_however_it_arrives(answer: Callable[[], Awaitable[None]]) -> None:
    """pymongo answers one with an error while it connects; redis-py can swallow it."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await answer()

    task = asyncio.create_task(every(0.001, work, asyncio.Event(), name="chore"))
    await begun.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=20)
    assert done
    assert task.cancelled()


async def test_what_does_not_end_is_cancelled_and_what_does_not_end_even_so_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One ends by itself, one when it is cancelled, one at the second cancellation, one never."""
    monkeypatch.setattr(periodic, "CANCEL_S", 1.0)
    free = asyncio.Event()

    async def swallowing(times: int) -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                times -= 1
                if times < 0:
                    raise

    stubborn = asyncio.create_task(swallowing(1000))
    tasks = [asyncio.create_task(asyncio.sleep(0)), *(asyncio.create_task(swallowing(n)) for n in (0, 1)), stubborn]
    await asyncio.sleep(0)
    assert await ended(tasks, within_s=0.05) == {stubborn}
    free.set()
    await stubborn
