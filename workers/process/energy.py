"""What the card uses for each run: its counter is read whenever a job gets or leaves its slot, and shared by slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from nightjar.jobs.money.energy import EnergyKey


class EnergyMeter:
    """Joules by whose work it was. Between two readings the jobs in the slots share what was used, each alike; what was
    used while no job had a slot is nobody's.

    `read`: the card's counter in joules; None where it does not tell. What it did not tell once stays unknown.
    """

    def __init__(self, read: Callable[[], float | None]) -> None:
        self.read = read
        self._active: Counter[EnergyKey | None] = Counter()
        self._used: dict[EnergyKey, float | None] = {}
        self._last: float | None = None

    @contextmanager
    def using(self, key: EnergyKey | None) -> Iterator[None]:
        """Around a job's time in its slot. None: of a job that nobody keeps account of, which has its share all the
        same.
        """
        self._advance()
        self._active[key] += 1
        if key is not None:
            self._used.setdefault(key, 0.0 if self._last is not None else None)
        try:
            yield
        finally:
            self._advance()
            self._active[key] -= 1
            if not self._active[key]:
                del self._active[key]

    def totals(self) -> Mapping[EnergyKey, float | None]:
        """Up to now, since the start."""
        if self._active:
            self._advance()
        return dict(self._used)

    def _advance(self) -> None:
        before, self._last = self._last, self.read()
        sharing = sum(self._active.values())
        for key, jobs in self._active.items():
            if key is None:
                continue
            used = self._used[key]
            if used is None or before is None or self._last is None:
                self._used[key] = None
            else:
                self._used[key] = used + (self._last - before) * jobs / sharing
