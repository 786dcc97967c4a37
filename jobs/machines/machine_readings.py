"""How machines stood, minute by minute: written by processes that last, read for the page's charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nightjar.jobs.machines.machine_documents import MachineReading
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import parse_each


async def this_minute(database: Database) -> datetime:
    """The minute that it is, by MongoDB's clock."""
    return (await database.now()).replace(second=0, microsecond=0)


async def write_reading(host: str, minute: datetime, fields: Mapping[str, Any], database: Database) -> None:
    """Writes what is known of the minute so far; another process of the machine may have written before."""
    row: Row = {"host": host, "at": minute, **fields}
    identity = f"{host} {minute:%Y-%m-%dT%H:%M}"
    await database.raw["machine_readings"].replace_one({"_id": identity}, row, upsert=True)


async def read_readings(since: timedelta, database: Database) -> list[MachineReading]:
    """Of all machines, oldest first."""
    begin = await this_minute(database) - since
    cursor = database.raw["machine_readings"].find({"at": {"$gte": begin}}).sort([("at", 1), ("_id", 1)])
    return await parse_each("reading", cursor, MachineReading.model_validate)


async def newest_readings(within: timedelta, database: Database) -> list[MachineReading]:
    """The newest of each machine that was looked at so lately, by host."""
    newest = {reading.host: reading for reading in await read_readings(within, database)}
    return [newest[host] for host in sorted(newest)]
