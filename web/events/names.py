"""The names of the runs that events speak of; those of live requests have none, so that nobody hears of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from nightjar.jobs.lookup import evaluation_names
from nightjar.jobs.mongo import Database

KEPT = 2_000


class RunNames:
    """Names by id, read once: a run's name never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, str | None] = OrderedDict()

    async def of(self, runs: Iterable[str]) -> dict[str, str]:
        """Those of evaluations that exist. Raises DatabaseError."""
        wanted = set(runs)
        if unknown := [run for run in wanted if run not in self._known]:
            self._known |= await evaluation_names(unknown, self._database)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return {run: name for run in wanted if (name := self._known.get(run)) is not None}
