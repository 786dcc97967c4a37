"""Which queries reach MongoDB, recorded by its own profiler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nightjar.jobs.mongo import Database


@asynccontextmanager
async def queries(database: Database) -> AsyncIterator[list[dict[str, Any]]]:
    """A list that, once the block has ended, has its commands (find, aggregate, ...), oldest first."""
    commands: list[dict[str, Any]] = []
    await database.raw.command("profile", 2)
    try:
        yield commands
    finally:
        await database.raw.command("profile", 0)
    async for row in database.raw["system.profile"].find({"op": {"$in": ["query", "command"]}}).sort("ts", 1):
        commands.append(row["command"])


def collected(commands: list[dict[str, Any]], run: str) -> int:
    """How often the replies of a run were read for a report."""
    matches = [stage.get("$match", {}) for command in commands for stage in command.get("pipeline", [])[:1]]
    return sum(match.get("run") == run and match.get("kind") == "reply" for match in matches)


def of_jobs(commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The queries of the collection `jobs`, which stores verdicts."""
    return [command for command in commands if "jobs" in (command.get("find"), command.get("aggregate"))]
