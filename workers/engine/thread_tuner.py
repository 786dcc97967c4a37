"""How many threads compute, as the machine's load allows. Pure.

llama.cpp's threads wait for each other at every layer, spinning: beside one busy process as many threads as cores can
take twenty times as long as one fewer. Nobody but the steps themselves can tell which count is the fastest now, so
another one is tried for a few of them now and then, and soon when they take longer than they did. The faster one stays.

One step on a core that others have can take seconds, so more threads are hardly ever tried while the kernel says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from nightjar.jobs.models import ThreadUse

KEPT, LEAST = 8, 4
"""Steps of a shape by which it is known how long they take; fewer than the second say nothing."""
TRIED = 4
"""Steps that a trial counts, at most."""
LONGEST_TRIAL = 12
"""Steps, with those of shapes that cannot be compared."""
FASTER = 0.95
"""A count must take less than this share of the time to replace another: else chance alone would change it."""
SLOWER = ((1, 2.5), (2, 1.3))
"""(steps, times as long): after so many steps of a trial that took so long it is over."""
SLOWED = 1.4
"""Steps that take so many times as long as before call for fewer threads at once."""
FIRST_LOOK_S = 0.5
"""From the first step to the first trial: the machine may have been busy before."""
LOOK_S, LONGEST_LOOK_S = 2.0, 8.0
"""Between two trials; twice as long after each that changed nothing, up to the second."""
LOST_SHARE = 0.05
"""Of the time, at most, may be lost in trials."""
LONGEST_PAUSE_S = 60.0
"""Also between two trials of cores that others have: theirs may be work that gives way."""
MOST_SHAPES = 64
TAKEN = 0.5
"""Of another core, at least so much must be free for one more thread."""


class ThreadTuner:
    """Told of every step, it says how many threads the next one shall have."""

    def __init__(self, most: int, start: int | None = None, free: Callable[[], float | None] = lambda: None) -> None:
        """`start`: the count to begin with, where a guess is better than all. `free`: the cores that others left since
        it was last asked; None where that is not known."""
        first = most if start is None else start
        assert 1 <= first <= most
        self.count = first
        """That of the next step, a trial's too."""
        self._most = most
        self._held = first
        """The count that is not a trial."""
        self._took: dict[Hashable, deque[float]] = {}
        """By shape, under the held count."""
        self._trial: _Trial | None = None
        self._up = first < most
        """The direction of the next trial."""
        self._stride = 1
        self._free = free
        self._look_s = LOOK_S
        self._next_look: float | None = None
        self._up_anyway: float | None = None
        """When more threads are tried whatever others do."""
        self._seconds: dict[int, float] = {}

    @property
    def use(self) -> ThreadUse:
        """Of the steps so far; trials do not count. May be asked from any thread."""
        seconds = dict(self._seconds) or {self._held: 0.0}
        return ThreadUse(used=max(seconds, key=seconds.__getitem__), lowest=min(seconds), highest=max(seconds))

    def step(self, shape: Hashable, took_s: float, now: float) -> int:
        """Notes how long a step took. Steps of one shape take equally long, all else being equal."""
        if self._most == 1:
            return 1
        if self._trial is not None:
            self._try(self._trial, shape, took_s, now)
            return self.count
        self._seconds[self._held] = self._seconds.get(self._held, 0.0) + took_s
        known = self._of(shape)
        known.append(took_s)
        if self._next_look is None or self._up_anyway is None:
            self._next_look, self._up_anyway = now + FIRST_LOOK_S, now + LONGEST_PAUSE_S
        if _slowed(known) and self._held > 1:
            self._begin(up=False, free=self._free())
        elif now >= self._next_look and len(known) >= LEAST:
            self._look(now, self._up_anyway)
        return self.count

    def _look(self, now: float, up_anyway: float) -> None:
        """Begins a trial, unless the one that is left to try needs cores that others have."""
        up = self._held == 1 or (self._up and self._held < self._most)
        free = self._free()
        taken = free is not None and free < self._held + TAKEN and now < up_anyway
        if up and taken and self._held == 1:
            self._next_look = now + LOOK_S
            return
        if up and not taken:
            self._up_anyway = now + LONGEST_PAUSE_S
        up = up and not taken
        self._begin(up=up, free=free)

    def _of(self, shape: Hashable) -> deque[float]:
        if shape not in self._took and len(self._took) >= MOST_SHAPES:
            self._took.clear()
        return self._took.setdefault(shape, deque(maxlen=KEPT))

    def _begin(self, *, up: bool, free: float | None) -> None:
        """Tries more threads, or fewer: as many as are free, where that is known, since those between are no better."""
        other = self._held + self._stride if up else self._held - self._stride
        if not up and free is not None and round(free) < self._held:
            other = round(free)
        self.count = min(self._most, max(1, other))
        self._trial = _Trial(up)

    def _try(self, trial: _Trial, shape: Hashable, took_s: float, now: float) -> None:
        trial.steps += 1
        known = self._took.get(shape, ())
        if len(known) >= LEAST:
            trial.took.append(took_s)
            trial.usual.append(_mean(known))
        count = len(trial.took)
        ratio = sum(trial.took) / sum(trial.usual) if count else 1.0
        if count >= TRIED:
            ratio = _mean(trial.took) / _mean(trial.usual)
            self._end(trial, now, faster=ratio < FASTER)
        elif trial.steps >= LONGEST_TRIAL or any(count >= steps and ratio > times for steps, times in SLOWER):
            self._end(trial, now, faster=False)

    def _end(self, trial: _Trial, now: float, *, faster: bool) -> None:
        self._trial = None
        if faster:
            self._held = self.count
            self._took.clear()
            self._up, self._stride, self._look_s = trial.up, 2 * self._stride, LOOK_S
            self._next_look = now  # as soon as this count is known, further that way
            return
        self.count = self._held
        lost_s = max(0.0, sum(trial.took) - sum(trial.usual))
        self._next_look = now + max(self._look_s, min(lost_s / LOST_SHARE, LONGEST_PAUSE_S))
        self._look_s = min(LONGEST_LOOK_S, 2 * self._look_s)
        self._up, self._stride = not trial.up, 1
        for known in self._took.values():  # what is slow now is the usual from here on
            while len(known) > LEAST:
                known.popleft()


class _Trial:
    """Steps under another count, and how long such steps take under the held one."""

    def __init__(self, up: bool) -> None:
        self.up = up
        self.steps = 0
        self.took: list[float] = []
        self.usual: list[float] = []


def _slowed(known: deque[float]) -> bool:
    """Whether the last three steps took much longer than those before."""
    if len(known) < LEAST + 3:
        return False
    *before, one, two, three = known
    return min(one, two, three) > SLOWED * _mean(before)


def _mean(values: list[float] | deque[float] | tuple[float, ...]) -> float:
    """Without the longest, where there are enough: one may have met anything."""
    if len(values) < LEAST:
        return sum(values) / len(values)
    return (sum(values) - max(values)) / (len(values) - 1)
