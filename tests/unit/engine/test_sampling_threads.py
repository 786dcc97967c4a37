"""Tokens are drawn row by row, by several threads where it pays, and each row's error is its own."""

from __future__ import annotations

import threading

import pytest

from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.sampling_threads import WORTH_SHARING, LogitsRow, SamplingThreads


class Noted:
    """A sampler that draws ten times its row's number and notes its thread; with a barrier it waits for company."""

    def __init__(self, company: threading.Barrier | None = None, *, slow: bool = True) -> None:
        self.slow = slow
        self.guided = False
        self.threads: set[int] = set()
        self._company = company

    def prepare(self) -> None: ...

    def draw(self, row: int) -> Drawn:
        self.threads.add(threading.get_ident())
        if self._company is not None:
            self._company.wait(10)
        if row == 3:
            raise ValueError("no token can follow")
        return Drawn(10 * row)

    def close(self) -> None: ...


def rows(count: int, sampler: Noted) -> list[LogitsRow]:
    return [(sampler, index) for index in range(count)]


@pytest.mark.parametrize("lanes", [1, 4])
def test_results_come_in_the_order_of_the_rows_and_an_error_stays_with_its_row(lanes: int) -> None:
    threads = SamplingThreads(WORTH_SHARING, lanes)
    drawn = threads.draw(rows(6, Noted()))
    threads.close()
    assert [result.token for result in drawn if isinstance(result, Drawn)] == [0, 10, 20, 40, 50]
    assert str(drawn[3]) == "no token can follow"


def test_a_large_vocabulary_is_drawn_by_several_threads_at_once() -> None:
    """Both rows wait for each other: one thread alone would break the barrier."""
    sampler = Noted(threading.Barrier(2))
    threads = SamplingThreads(WORTH_SHARING, 2)
    drawn = threads.draw(rows(2, sampler))
    threads.close()
    assert drawn == [Drawn(0), Drawn(10)]
    assert len(sampler.threads) == 2


def test_quick_rows_stay_with_the_caller_while_others_help_with_the_slow_ones() -> None:
    """Several threads would only wait for each other's turn at the interpreter."""
    quick, slow = Noted(slow=False), Noted(threading.Barrier(2))
    threads = SamplingThreads(WORTH_SHARING, 4)
    drawn = threads.draw([(quick, 0), (slow, 1), (slow, 2), (quick, 4)])
    threads.close()
    assert drawn == [Drawn(0), Drawn(10), Drawn(20), Drawn(40)]
    assert quick.threads == {threading.get_ident()}
    assert len(slow.threads) == 2


def test_little_work_wakes_nobody() -> None:
    sampler = Noted()
    threads = SamplingThreads(32, 4)
    threads.draw(rows(3, sampler))
    threads.close()
    assert sampler.threads == {threading.get_ident()}
