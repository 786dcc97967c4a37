"""How many cores other processes take."""

from __future__ import annotations

import os
import time
from typing import Any

import psutil
import pytest

from nightjar.config import cpu_meter
from nightjar.config.cpu_meter import CpuMeter
from nightjar.config.hardware import usable_cores
from nightjar.workers.process.meters import OthersMeter


class Machine:
    """Cores whose accounts a test writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int, usable: int) -> None:
        self.now = self.own = 0.0
        self.busy = [0.0] * cores
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(cpu_meter, "usable_cores", lambda: usable)
        monkeypatch.setattr(cpu_meter, "monotonic", lambda: self.now)
        monkeypatch.setattr(cpu_meter, "process_time", lambda: self.own)
        monkeypatch.setattr(psutil, "cpu_times", self._times)

    def _times(self, percpu: bool) -> list[Any]:
        return [Times(busy) for busy in self.busy]

    def play(self, seconds: float, *busy: float, own: float) -> None:
        """So long, with each core busy for this share of it, and so many cores' worth of it being our own."""
        self.now += seconds
        self.own += own * seconds
        self.busy = [before + share * seconds for before, share in zip(self.busy, busy, strict=True)]


class Times(tuple[float, ...]):
    """As psutil gives them for one core."""

    idle, iowait = 100.0, 3.0

    def __new__(cls, busy: float) -> Times:
        return super().__new__(cls, (busy, 100.0, 3.0))


@pytest.mark.parametrize(
    ("cores", "usable", "busy", "own", "others"),
    [
        (2, 2, (1.0, 1.0), 2.0, 0.0),  # all of it is ours
        (2, 2, (1.0, 1.0), 1.0, 1.0),  # one busy neighbour
        (2, 2, (0.1, 0.0), 0.0, 0.1),
        (2, 2, (1.0, 0.5), 1.7, 0.0),  # the accounts differ by a little: never less than nothing
        (4, 2, (1.0, 1.0, 1.0, 1.0), 2.0, 0.0),  # a quota of two of four, and the others have the other two
        (4, 2, (1.0, 1.0, 1.0, 1.0), 1.0, 1.0),  # the others have one of ours
    ],
)
def test_cores_that_others_take(
    monkeypatch: pytest.MonkeyPatch, cores: int, usable: int, busy: tuple[float, ...], own: float, others: float
) -> None:
    machine = Machine(monkeypatch, cores, usable)
    meter = CpuMeter()
    machine.play(2.0, *busy, own=own)
    assert meter.others() == pytest.approx(others)


def test_a_moment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2, 2)
    meter = CpuMeter()
    machine.play(0.1, 1.0, 1.0, own=0.0)
    assert meter.others() is None


def test_a_machine_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2, 2)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [])
    meter = CpuMeter()
    machine.now = 5.0
    assert meter.others() is None


def test_the_mean_is_of_the_time_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2, 2)
    meter = OthersMeter()
    for share, at_work in ((1.0, True), (0.0, False), (0.5, True)):
        machine.play(2.0, share, 0.0, own=0.0)
        reading = meter.read(at_work=at_work)
    assert reading.now == pytest.approx(0.5)
    assert reading.mean == pytest.approx(0.75)


def test_this_machine_can_be_read() -> None:
    meter = CpuMeter()
    while (others := meter.others()) is None:
        time.sleep(0.6)
    assert 0 <= others <= usable_cores()
