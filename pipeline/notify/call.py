"""The seam to the outside: a call is prepared without sending anything, then sent once.

NotDelivered     certainly not taken: no connection, or the other side refused; `again`: another try may help
Unsure           sent, and no answer: it may have arrived
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class NotDelivered(Exception):  # an outcome, not an error of ours
    """The call was not taken. `again`: another try may help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Unsure(Exception):
    """The call was sent, and no answer came: it may have arrived."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of a call that was taken. `ok`: False for a command that failed; it is not run again."""

    said: str
    ok: bool = True
    output: str | None = None


class Call(Protocol):
    """One prepared call."""

    async def send(self) -> Answer:
        """Raises NotDelivered, Unsure."""

    async def close(self) -> None:
        """Frees what preparing took. May be called at any time, more than once."""
