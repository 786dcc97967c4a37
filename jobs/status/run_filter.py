"""Which runs a list shows: by words, suite, status and what their gates said. Pure, but for the reading itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from nightjar.jobs.documents import Run
from nightjar.jobs.ending import GateOutcome
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import read_each
from nightjar.jobs.states import EVALUATIONS, RunStatus

_SAID = "outcome.verdict.results.outcome"
_BY_GATES: dict[GateOutcome, Row] = {
    GateOutcome.TRIPPED: {_SAID: GateOutcome.TRIPPED},
    GateOutcome.INCONCLUSIVE: {"$and": [{_SAID: GateOutcome.INCONCLUSIVE}, {_SAID: {"$ne": GateOutcome.TRIPPED}}]},
    GateOutcome.PASSED: {
        "outcome.verdict": {"$ne": None},
        _SAID: {"$nin": [GateOutcome.TRIPPED, GateOutcome.INCONCLUSIVE]},
    },
}
"""A verdict is the worst that one of its gates said: `GateVerdict.outcome`."""


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """What runs must have to be listed; what is empty or None asks for nothing."""

    words: str = ""
    """These stand in the run's name, a model's or its status, in either case."""
    suite: str = ""
    """This stands in its NAME@VERSION, in either case."""
    status: RunStatus | None = None
    gates: GateOutcome | None = None
    before: datetime | None = None
    """It was made before then."""

    @property
    def asks(self) -> bool:
        """Whether a person chose anything."""
        return bool(self.words or self.suite or self.status or self.gates)

    def query(self) -> Row:
        """For the collection of runs; live ones are never listed."""
        parts: list[Row] = [EVALUATIONS]
        if self.before is not None:
            parts.append({"created_at": {"$lt": self.before}})
        if self.words:
            pattern = {"$regex": re.escape(self.words), "$options": "i"}
            parts.append({"$or": [{"name": pattern}, {"models.name": pattern}, {"status": pattern}]})
        if self.suite:
            version = {"$concat": ["$suite_name", "@", {"$toString": "$suite_version"}]}
            match = {"input": version, "regex": re.escape(self.suite), "options": "i"}
            parts.append({"$expr": {"$regexMatch": match}})
        if self.status is not None:
            parts.append({"status": self.status})
        if self.gates is not None:
            parts.append(_BY_GATES[self.gates])
        return {"$and": parts} if len(parts) > 1 else parts[0]


async def newest_runs(limit: int, wanted: RunFilter, database: Database) -> list[Run]:
    """The newest runs that are like that, newest first; one that cannot be read is passed over."""
    return await read_each(Run, wanted.query(), database, newest_by="created_at", limit=limit)
