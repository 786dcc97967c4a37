"""Documents as commit e84adcd wrote them, put into a database; see `data_of_e84adcd/README.md`."""

from __future__ import annotations

import gzip
from pathlib import Path

from bson import json_util

from nightjar.jobs.mongo import Database, Row

FOLDER = Path(__file__).parent / "data_of_e84adcd"
RUN_FILE = FOLDER / "first.run.json.gz"


def old_documents() -> dict[str, list[Row]]:
    """Collection -> its documents."""
    text = gzip.decompress((FOLDER / "database.json.gz").read_bytes()).decode()
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
    documents: dict[str, list[Row]] = json_util.loads(text, json_options=options)
    return documents


async def put_old_data(database: Database) -> None:
    """Makes the database look as e84adcd left it: its documents, its indexes on runs, no version."""
    await database.client.drop_database(database.raw.name)
    for name, rows in old_documents().items():
        await database.raw[name].insert_many(rows)
    await database.runs.create_index("untold", name="untold", partialFilterExpression={"untold": True})


async def snapshot(database: Database) -> dict[str, list[Row]]:
    """Every document, by collection, in the order of `_id`."""
    names = sorted(await database.raw.list_collection_names())
    return {name: await database.raw[name].find().sort("_id", 1).to_list() for name in names}
