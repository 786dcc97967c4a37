"""Reading many documents so that one that cannot be read costs only itself."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import Any, TypeVar

from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.stored import StoredDocument

D = TypeVar("D", bound=StoredDocument)
T = TypeVar("T")
UNREADABLE_AGAIN_S = 60.0
"""A document is read several times a second by whoever waits for its run; so often it is logged that it can't be."""


async def read_each(
    kind: type[D], query: Row, database: Database, *, newest_by: str | None = None, limit: int = 0
) -> list[D]:
    """The documents that match. One that does not validate is passed over and shown as a hindrance.

    `newest_by`: the field that orders them, the newest first; at most `limit` of them where that is not 0.
    """
    cursor = database.raw[kind.get_collection_name()].find(query).limit(limit)
    if newest_by is not None:
        cursor = cursor.sort(newest_by, -1)
    return await parse_each(kind.__name__.lower(), cursor, kind.model_validate)


async def parse_each(what: str, rows: AsyncIterable[Row], parse: Callable[[Row], T]) -> list[T]:
    """What `parse` makes of each row; one that it cannot is passed over. `what`: what a row is."""
    parsed = []
    async for row in rows:
        about: dict[str, Any] = {what: row.get("name") or row.get("_id")}
        with hindered("document_unreadable", seldom_s=UNREADABLE_AGAIN_S, **about):
            parsed.append(parse(row))
    return parsed
