"""What goes wrong in processes that nobody watches, as they write it down for `nightjar status` and `nightjar doctor`:
chores that fail, and documents that had to be put aside.
"""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Any, ClassVar

import structlog
from pymongo import ASCENDING, IndexModel
from pymongo.errors import PyMongoError

from nightjar.jobs.hindered import Hindrances
from nightjar.jobs.mongo import Database, Row, farewell
from nightjar.jobs.stored import StoredDocument

REWRITE_S = 5.0
"""A failure that stays is counted in memory and written this often."""
REMEMBERED_S = 600
"""How long a failure is shown after its chore has worked again."""
_DAY_S = 86_400
_KEPT_DAYS = 90
_log = structlog.get_logger()


class ChoreFailure(StoredDocument):
    """A chore of a process that fails, or failed a short while ago; `_id` is "PROCESS CHORE SUBJECT"."""

    id: str  # type: ignore[assignment]
    process: str
    """A worker's id; of a dispatcher "dispatcher HOST:PID"."""
    chore: str
    about: str
    """What of its work failed ("run nightly"); empty where all of it did."""
    error: str
    failures: int
    """Rounds that failed since `since`."""
    since: datetime
    last_at: datetime
    failing: bool
    """False: it has worked since."""
    until: datetime
    """It counts until then; whoever wrote it is gone if it is not written again."""

    class Settings:
        name = "chore_failures"
        indexes: ClassVar = [IndexModel([("until", ASCENDING)], expireAfterSeconds=_DAY_S)]


class PutAside(StoredDocument):
    """A document that could not be read, as it was before it was made readable; `_id` is its own."""

    id: str  # type: ignore[assignment]
    collection: str
    run: str | None
    reason: str
    row: dict[str, Any]
    at: datetime

    class Settings:
        name = "put_aside"
        indexes: ClassVar = [IndexModel([("at", ASCENDING)], expireAfterSeconds=_KEPT_DAYS * _DAY_S)]


class StoredBoard:
    """A process's `ChoreBoard` in MongoDB."""

    def __init__(self, process: str, database: Database) -> None:
        self._process = process
        self._database = database
        self._unwritten: dict[tuple[str, str], int] = {}
        self._written: dict[tuple[str, str], tuple[str, float]] = {}
        """(chore, subject) -> the error that was written last, and when."""

    async def show(self, chore: str, hindrances: Hindrances, next_in_s: float) -> None:
        """Writes what fails and what works again; nothing while all is well."""
        try:
            for about, error in hindrances.now.items():
                await self._fails(chore, about, error, next_in_s)
            for key in [key for key in self._written if key[0] == chore and key[1] not in hindrances.now]:
                await self._works(*key)
        except PyMongoError as error:
            _log.warning("failure_not_shown", work=chore, error=type(error).__name__)

    async def _fails(self, chore: str, about: str, error: str, next_in_s: float) -> None:
        key = (chore, about)
        self._unwritten[key] = self._unwritten.get(key, 0) + 1
        said, when = self._written.get(key, ("", 0.0))
        if said == error and monotonic() - when < REWRITE_S:
            return
        values: Row = {"process": self._process, "chore": chore, "about": about, "error": error}
        change = {name: {"$literal": value} for name, value in values.items()} | {
            "failures": {"$add": [{"$ifNull": ["$failures", 0]}, self._unwritten[key]]},
            "since": {"$ifNull": ["$since", "$$NOW"]},
            "last_at": "$$NOW",
            "failing": True,
            "until": _after(max(60.0, 3 * next_in_s)),
        }
        await self._write(key, change, upsert=True)
        self._written[key] = (error, monotonic())
        del self._unwritten[key]

    async def _works(self, chore: str, about: str) -> None:
        counted = {"$add": ["$failures", self._unwritten.pop((chore, about), 0)]}
        await self._write((chore, about), {"failing": False, "until": _after(REMEMBERED_S), "failures": counted})
        del self._written[chore, about]

    async def _write(self, key: tuple[str, str], change: Row, *, upsert: bool = False) -> None:
        identity = {"_id": " ".join((self._process, *key)).rstrip()}
        await self._database.raw["chore_failures"].update_one(identity, [{"$set": change}], upsert=upsert)

    async def take_down(self) -> None:
        """The process ends: what it failed at is not failing any more."""
        try:
            with farewell():
                for key in list(self._written):
                    await self._works(*key)
        except PyMongoError as error:
            _log.warning("failure_not_shown", error=type(error).__name__)


def _after(seconds: float) -> Row:
    return {"$add": ["$$NOW", round(seconds * 1000)]}
