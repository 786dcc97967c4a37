"""The number of threads follows the machine's load: worlds whose steps take as long as was measured, and others."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from nightjar.workers.engine.thread_tuner import ThreadTuner

World = Callable[[int], float]
"""Threads -> seconds of a step."""


def rates(*tokens_per_s: float) -> World:
    """Steps of one token at these rates with one thread, two threads, ..."""
    return lambda threads: 1 / tokens_per_s[threads - 1]


QUIET, BUSY, COLLAPSED = rates(63, 100), rates(62, 28), rates(35, 4)


def sixteen(others: int) -> World:
    """Sixteen cores, of which others spin on some: a thread beside them is half as fast, and all wait for it."""
    return lambda threads: 1 / threads**0.9 * 0.1 * (2 if threads > 16 - others else 1)


class Clock:
    """Plays steps in a world, with noise as on a shared machine, and counts them."""

    def __init__(self, tuner: ThreadTuner, seed: int = 1) -> None:
        self.tuner = tuner
        self.now = 0.0
        self._random = random.Random(seed)

    def play(self, world: World, seconds: float, shape: object = 1) -> float:
        """Steps per second."""
        steps, began = 0, self.now
        while self.now < began + seconds:
            took = world(self.tuner.count) * self._random.lognormvariate(0, 0.1)
            took += 0.03 if self._random.random() < 0.01 else 0  # something else ran
            self.now += took
            self.tuner.step(shape, took, self.now)
            steps += 1
        return steps / seconds


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("world", "best"),
    [
        (QUIET, 2),
        (BUSY, 1),
        (COLLAPSED, 1),
        (rates(60, 60), 1),  # no difference: either is right
    ],
)
def test_it_keeps_the_better_count(world: World, best: int, seed: int) -> None:
    """Within 7 % of the best fixed count from the second second on, with all that its trials cost."""
    fixed = 1 / (world(best) * 1.005 + 0.01 * 0.03)
    clock = Clock(ThreadTuner(2), seed)
    clock.play(world, 2)
    assert clock.play(world, 60) >= 0.93 * fixed


@pytest.mark.parametrize("seed", range(5))
def test_it_follows_a_load_that_comes_and_goes(seed: int) -> None:
    """Fewer threads within a second and a half of a collapse, all of them within ten seconds of quiet."""
    clock = Clock(tuner := ThreadTuner(2), seed)
    clock.play(QUIET, 20)
    assert tuner.use.used == 2
    clock.play(COLLAPSED, 2.5)
    assert clock.play(COLLAPSED, 20) >= 0.9 * 35 / 1.05
    clock.play(QUIET, 10)
    assert clock.play(QUIET, 20) >= 0.9 * 100 / 1.05
    assert (tuner.use.lowest, tuner.use.highest) == (1, 2)


@pytest.mark.parametrize(("others", "best"), [(0, 16), (1, 15), (8, 8)])
def test_it_finds_its_way_over_many_counts(others: int, best: int) -> None:
    clock = Clock(ThreadTuner(16))
    clock.play(sixteen(others), 20)
    assert clock.play(sixteen(others), 20) >= 0.9 / sixteen(others)(best) / 1.06


def test_steps_of_other_shapes_say_nothing() -> None:
    """Eight conversations take longer than one, and so does a prompt: that is no reason to change anything."""
    tuner = ThreadTuner(2)
    now = 0.0
    chooser = random.Random(3)
    for _ in range(4_000):
        shape = chooser.choice([(1, 0), (8, 0), (7, 16)])
        took = {1: 0.01, 8: 0.03, 7: 0.3}[shape[0]] * (1 if tuner.count == 2 else 1.6)
        now += took
        tuner.step(shape, took, now)
    assert (tuner.use.lowest, tuner.use.highest) == (2, 2)


def test_long_steps_lose_little_to_trials() -> None:
    """A slow model's steps take half a second: what trials cost stays under a tenth even so."""
    slow = rates(1.2, 2.0)
    assert Clock(ThreadTuner(2)).play(slow, 600) >= 0.9 * 2.0 / 1.01


def test_cores_that_others_have_are_hardly_ever_tried() -> None:
    """A single step on two threads took 1.8 s beside three busy processes. Once a minute it is risked, since theirs may
    be work that gives way; and soon after the cores are free."""
    left = 1.0
    crawl = rates(40, 0.5)
    clock = Clock(tuner := ThreadTuner(2, 1, lambda: left))
    assert clock.play(crawl, 55) >= 0.97 * 40 / 1.02
    assert clock.play(crawl, 65) >= 0.9 * 40 / 1.02
    assert tuner.use.highest == 1
    left = 2.0
    clock.play(QUIET, 5)
    assert clock.play(QUIET, 20) >= 0.93 * 100 / 1.05
    assert tuner.use.highest == 2


def test_fewer_are_tried_while_others_have_the_next_core() -> None:
    """Of sixteen cores eight are taken, and it holds twelve."""
    clock = Clock(ThreadTuner(16, 12, lambda: 8.0))
    clock.play(sixteen(8), 20)
    assert clock.play(sixteen(8), 20) >= 0.9 / sixteen(8)(8) / 1.06


def test_a_guess_that_was_too_low_is_soon_mended() -> None:
    clock = Clock(tuner := ThreadTuner(2, start=1))
    assert tuner.count == 1
    clock.play(QUIET, 3)
    assert clock.play(QUIET, 20) >= 0.93 * 100 / 1.05


def test_one_thread_is_never_changed() -> None:
    tuner = ThreadTuner(1)
    assert [tuner.step(1, 0.01 * (1 + n), n) for n in range(50)] == [1] * 50
    assert (tuner.use.used, tuner.use.lowest, tuner.use.highest) == (1, 1, 1)
