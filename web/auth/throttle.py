"""How often somebody may try to log in, by user and address. Pure: `now` is passed in, in seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

FREE_TRIES = 4
LONGEST_S = 300.0
REMEMBERED = 10_000
"""Most names and addresses kept in mind; whoever tries more of them pushes out the oldest."""


@dataclass(kw_only=True)
class Throttle:
    """After some failures each further one doubles the time until the next try counts."""

    _failures: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def wait_s(self, user: str, address: str, now: float) -> float:
        """How long this user at this address must wait; 0 where the try counts."""
        waits = (self._failures.get(key, (0, now))[1] - now for key in _keys(user, address))
        return max(0.0, *waits)

    def failed(self, user: str, address: str, now: float) -> None:
        for key in _keys(user, address):
            count = self._failures.pop(key, (0, now))[0] + 1
            pause = min(LONGEST_S, 2.0 ** min(count - FREE_TRIES, 10)) if count > FREE_TRIES else 0.0
            self._failures[key] = (count, now + pause)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, user: str, address: str) -> None:
        for key in _keys(user, address):
            self._failures.pop(key, None)


def _keys(user: str, address: str) -> tuple[str, str]:
    return f"user {user}", f"address {address}"
