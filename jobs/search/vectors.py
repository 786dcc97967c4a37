"""Embeddings of texts, kept once each, and where their texts stand: what a search by meaning reads.

A text goes with its last reference: when its run is removed, its transcripts are dropped, or its live request expires.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pymongo import ASCENDING, TEXT, IndexModel, UpdateOne

from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.stored import StoredDocument

BATCH = 1_000
MOST_CHARS = 100_000
"""Of a text that is kept for searches; what is longer is embedded whole and kept cut."""


class TextKind(StrEnum):
    """What of a turn a text is."""

    PROMPT = "prompt"
    REPLY = "reply"
    REASON = "reason"
    """A judge's words about the reply."""
    DOCUMENT = "document"


class TextPlace(BaseModel):
    """Where a text stands: a turn of a job. `turn` counts from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    job: str
    turn: int
    part: TextKind
    source: str
    """The job whose text it is: the judge's for a reason, else `job`."""
    model: str
    """The contestant that was asked or replied; the judge for a reason."""
    user: str | None = None
    """Of a live request: the only one who finds it."""


class TextVector(StoredDocument):
    """One text's embedding by one model; `_id` is `vector_id`."""

    id: str  # type: ignore[assignment]  # beanie's default is an ObjectId
    model: str
    """Digest of the embedding model."""
    text: str
    vector: bytes
    """A unit vector, float16, little-endian."""
    refs: list[TextPlace]
    at: datetime

    class Settings:
        name = "vectors"
        indexes: ClassVar = [
            IndexModel([("model", ASCENDING), ("at", ASCENDING)], name="model_at"),
            IndexModel([("refs.run", ASCENDING), ("model", ASCENDING)], name="refs_run"),
            IndexModel([("refs.job", ASCENDING)], name="refs_job"),
            IndexModel([("text", TEXT)], name="text", default_language="none", language_override="no_such_field"),
        ]


class IndexedRun(StoredDocument):
    """How far the texts of a run have embeddings by one model; `_id` is "MODEL.RUN"."""

    id: str  # type: ignore[assignment]
    run: str
    model: str
    version: str | None = None
    """Of the data of an ended run whose texts all have one; another one means that it has to be looked at again."""
    pending: list[str] = Field(default_factory=list)
    """Jobs whose texts were being written: after a kill they may lack some."""

    class Settings:
        name = "indexed_runs"
        indexes: ClassVar = [IndexModel([("run", ASCENDING)], name="run")]


def vector_id(text: str, model_digest: str) -> str:
    """`_id` of a text's embedding: digest of the text, then the beginning of the model's."""
    return f"{digest(text)}.{model_digest[:16]}"


async def write_vectors(
    model: str, made: Mapping[str, tuple[str, bytes]], refs: Mapping[str, Sequence[TextPlace]], database: Database
) -> None:
    """Stores embeddings (id -> text, float16) and references (id -> where); what is there already only gets the latter.

    A text that went with its last reference a moment ago stays away: it has no embedding here.
    """
    now = datetime.now(UTC)
    changes = []
    for name, places in refs.items():
        added: Row = {"$addToSet": {"refs": {"$each": [place.model_dump(mode="json") for place in places]}}}
        if (new := made.get(name)) is not None:
            added["$setOnInsert"] = {"model": model, "text": new[0][:MOST_CHARS], "vector": new[1], "at": now}
        changes.append(UpdateOne({"_id": name}, added, upsert=new is not None))
    if changes:
        await database.raw["vectors"].bulk_write(changes, ordered=False)


@asynccontextmanager
async def being_indexed(run: str, model: str, jobs: Sequence[str], database: Database) -> AsyncIterator[None]:
    """Around writing the texts of these jobs: after a kill they count as not indexed."""
    marks, name = database.raw["indexed_runs"], _mark(run, model)
    change: Row = {"$set": {"run": run, "model": model}, "$addToSet": {"pending": {"$each": list(jobs)}}}
    await marks.update_one({"_id": name}, change, upsert=True)
    yield
    await marks.update_one({"_id": name}, {"$pullAll": {"pending": list(jobs)}})


async def mark_indexed(run: str, model: str, version: str, database: Database) -> None:
    """All texts of that ended run have embeddings; `version`: of its data."""
    change: Row = {"$set": {"run": run, "model": model, "version": version}}
    await database.raw["indexed_runs"].update_one({"_id": _mark(run, model)}, change, upsert=True)


def _mark(run: str, model: str) -> str:
    return f"{model[:16]}.{run}"


async def drop_vectors(query: Row, database: Database) -> None:
    """Takes the references away that match, and the vectors that have none left. `query`: fields of `TextPlace`.

    After a kill at any point, calling it again finishes it.
    """
    vectors = database.raw["vectors"]
    wanted: Row = {"refs": {"$elemMatch": query}}
    while ids := [row["_id"] async for row in vectors.find(wanted, {"_id": 1}).limit(BATCH)]:
        # First what goes whole: a text without a reference would be found by nobody who finishes this after a kill.
        await vectors.delete_many({"_id": {"$in": ids}, "refs": {"$not": {"$elemMatch": {"$nor": [query]}}}})
        await vectors.update_many({"_id": {"$in": ids}}, {"$pull": {"refs": query}})
        await vectors.delete_many({"_id": {"$in": ids}, "refs": {"$size": 0}})
