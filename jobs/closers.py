"""Who may close a run, run its hooks and fire a schedule: dispatchers, the home it comes from, hosts that score alike.

A home's settings hold what its hooks need (keys, mail server, commands allowed), so other hosts let it go first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.mongo import Row

HOME_FIRST_S = 10.0
"""A host that merely has the same scorers leaves the home so much time."""


class Closers(BaseModel):
    """A home and what scores there: stored with what it enqueued, and how a process says what it is."""

    model_config = ConfigDict(frozen=True)

    home: str
    """The home's id."""
    where: str
    """The home for people, "host:/path"."""
    scorers: tuple[str, ...] | None = None
    """Nightjar's version, the home's own scorers with theirs, its list of phrases; None where they cannot be loaded."""


class Right(StrEnum):
    """What entitles a process to close something."""

    OWN = "own"
    ALIKE = "alike"
    """It scores like the home."""
    NONE = "none"


def right_of(here: Closers, closers: Closers | None) -> Right:
    """The right of a standby in the home `here` to what `closers` may close; of old runs nobody knows that."""
    if closers is None or here.scorers is None:
        return Right.NONE
    if closers.home == here.home:
        return Right.OWN
    return Right.ALIKE if closers.scorers == here.scorers else Right.NONE


@dataclass(frozen=True, kw_only=True)
class Closer:
    """A process that closes runs."""

    here: Closers
    dispatcher: bool
    """It was started to do so, and may close everything."""
    _seen: dict[str, float] = field(default_factory=dict)

    def right(self, closers: Closers | None) -> Right:
        """Its right to what `closers` may close."""
        return Right.OWN if self.dispatcher else right_of(self.here, closers)

    def turn(self, name: str, closers: Closers | None) -> bool:
        """Whether it may close what has this name now. One that scores alike may some time after it first asked."""
        right = self.right(closers)
        if right is not Right.ALIKE:
            return right is Right.OWN
        return monotonic() - self._seen.setdefault(name, monotonic()) >= HOME_FIRST_S

    def query(self, since: str | None = None) -> Row:
        """For the documents that it may act on: now, where `since` is their field that says from when on somebody
        should; else at any time.
        """
        if self.dispatcher:
            return {}
        if self.here.scorers is None:
            return {"closers.home": {"$in": []}}
        alike: Row = {"closers.scorers": list(self.here.scorers)}
        if since is not None:
            alike["$expr"] = {"$lt": [f"${since}", {"$subtract": ["$$NOW", round(HOME_FIRST_S * 1000)]}]}
        return {"$or": [{"closers.home": self.here.home}, alike]}


def who_may_close(closers: Closers | None) -> str:
    """What a person can start to have it closed."""
    if closers is None:
        return "nightjar dispatcher does that"
    return f"nightjar dispatcher does that, or a worker in {closers.where}, or one with the same scorers"


def read_closers(row: Mapping[str, object]) -> Closers | None:
    """Of a document as it is stored."""
    stored = row.get("closers")
    return Closers.model_validate(stored) if stored else None
