"""Inserting what is absent: duplicates pass, anything else does not."""

from __future__ import annotations

import asyncio

import pytest
from pymongo.errors import BulkWriteError

from nightjar.jobs.mongo import Database, insert_absent


async def test_only_absent_rows_are_inserted_and_counted(database: Database) -> None:
    """What is there stays as it is; nothing to insert is no call; several at once insert each row once."""
    rows = database.raw["rows"]
    assert await insert_absent(rows, []) == 0
    assert await insert_absent(rows, [{"_id": "a", "n": 1}]) == 1
    assert await insert_absent(rows, [{"_id": "a", "n": 2}, {"_id": "b", "n": 2}]) == 1
    assert [row async for row in rows.find().sort("_id")] == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]
    many = [{"_id": str(number)} for number in range(500)]
    assert sum(await asyncio.gather(*(insert_absent(rows, [dict(row) for row in many]) for _ in range(4)))) == 500


async def test_another_error_is_raised(database: Database) -> None:
    """A row that the server refuses for another reason than its id."""
    rows = await database.raw.create_collection("strict", validator={"n": {"$type": "int"}})
    await insert_absent(rows, [{"_id": "a", "n": 1}])
    with pytest.raises(BulkWriteError):
        await insert_absent(rows, [{"_id": "a", "n": 1}, {"_id": "b", "n": "text"}])
