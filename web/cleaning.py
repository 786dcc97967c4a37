"""What `nightjar cleanup` would clear, and clears; the command itself is run by the room above."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightjar.web.latest import Latest

FRESH_S = 20.0
"""How old a preview may be."""
CleanupCommand = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]
"""Runs `nightjar cleanup --json` with these options; what it said."""


@dataclass(frozen=True, kw_only=True)
class CleanupAsked:
    """Its options. None: what the command and the settings say."""

    unused_days: int | None = None
    keep_nights: int | None = None
    log_days: int = 14

    @property
    def words(self) -> tuple[str, ...]:
        given = {"--unused": self.unused_days, "--keep-nights": self.keep_nights, "--logs": self.log_days}
        return tuple(word for name, value in given.items() if value is not None for word in (name, str(value)))


@dataclass(frozen=True, kw_only=True)
class CleanupPlace:
    """Something that goes or went. `what`: a file's own name, without its folder, or a run."""

    what: str
    why: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CleanupFound:
    """What the command said. `removed`: runs whose interrupted removal is finished; `records`: old ones that go;
    `kept`: runs that keep their transcripts, though they would go."""

    places: tuple[CleanupPlace, ...]
    removed: tuple[str, ...]
    records: int
    kept: tuple[str, ...]
    unseen: str | None
    """Why MongoDB was not looked at."""

    @property
    def bytes(self) -> int:
        return sum(place.bytes for place in self.places)

    @property
    def nothing(self) -> bool:
        return not (self.places or self.removed or self.records)


@dataclass(kw_only=True)
class Cleaning:
    """Of one server: it looks at one question at a time, and clears once at a time."""

    command: CleanupCommand
    _asked: CleanupAsked | None = None
    _preview: Latest[CleanupFound] | None = None
    _clearing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, asked: CleanupAsked, patience_s: float) -> CleanupFound | None:
        """What would go; None while that is being found out. Raises NightjarError."""
        if self._preview is None or asked != self._asked:
            self._asked = asked
            self._preview = Latest(make=lambda: self._run(asked, "--dry-run"), fresh_s=FRESH_S)
        return await self._preview.look(patience_s)

    async def clear(self, asked: CleanupAsked) -> CleanupFound:
        """Clears it; what went. Raises NightjarError."""
        async with self._clearing:
            self._preview = None
            return await self._run(asked)

    async def _run(self, asked: CleanupAsked, *more: str) -> CleanupFound:
        return read_cleanup(await self.command([*asked.words, *more]))


def read_cleanup(told: Mapping[str, Any]) -> CleanupFound:
    """What `nightjar cleanup --json` said, without where files lie."""
    files = [CleanupPlace(what=Path(each["path"]).name, why=each["why"], bytes=each["bytes"]) for each in told["items"]]
    nights = [
        CleanupPlace(what=f"transcripts of {each['run']}", why=each["why"], bytes=each["bytes"])
        for each in told["nights"]
    ]
    return CleanupFound(
        places=(*files, *nights),
        removed=tuple(told["removed"]),
        records=told["records"],
        kept=tuple(told["kept"]),
        unseen=told["nights_not_looked_at"],
    )
