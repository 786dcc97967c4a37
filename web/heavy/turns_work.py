"""Of the child processes' work: the turns of two runs beside each other."""

from __future__ import annotations

import json
from dataclasses import asdict

from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.compare.changed_turns import read_turns_beside


async def write_turns_beside(database: Database, base: str, other: str, turns: str, page: str, each: str) -> str:
    """A page of the turns of two runs beside each other, as JSON. `turns`: all, else those alone that changed."""
    before, after = [await find_run(name, database) for name in (base, other)]
    found = await read_turns_beside(
        before, after, database, only_changed=turns != "all", page=int(page), each=int(each)
    )
    return json.dumps(asdict(found))
