"""The seam to whoever is told: a call is prepared without anything being sent, then sent once.

NotDelivered     surely not taken: no connection, or the other side said no; `again`: another try may help
Unsure           sent, and no answer: it may have arrived
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class NotDelivered(Exception):  # an outcome, not an error of ours
    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Unsure(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a call that was taken. `ok`: False for a command that failed; it is not run again."""

    said: str
    ok: bool = True
    output: str | None = None


class Call(Protocol):
    """One prepared call."""

    async def send(self) -> Answer:
        """Raises NotDelivered, Unsure."""

    async def close(self) -> None:
        """Frees what preparing took. May be called at any time, again and again."""
