"""Memory across conversations: facts that were kept from replies or written by hand, and what they are kept under.

A memory belongs to a user, to one contestant of a run, or to nobody (`shared/NAME`): those are written by hand, and
conversations only read them. A turn's facts are written just before the turn is committed, under a key of its job and
its number, so whoever makes the turn again writes over them, and a late owner of the job does not.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pymongo import ASCENDING, IndexModel

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database, DuplicateKeyError, Row
from nightjar.jobs.parameters import MEMORY_PATTERN
from nightjar.jobs.stored import StoredDocument

SHARED = "shared/"
MOST_FACTS = 1_000
"""In one memory: all of them are compared with a prompt."""
MOST_CHARS = 300
"""Of one fact."""


@dataclass(frozen=True, kw_only=True)
class MemoryScope:
    """A memory as one conversation has it. `name` is its whole name, as commands take it."""

    name: str
    writes: bool
    run: str | None = None
    """The run with which it goes."""
    user: str | None = None


def memory_scope(name: str, *, run: str, run_name: str, contestant: str, user: str | None) -> MemoryScope:
    """What a job's `memory` means: `user` is a live request's, whose run says nothing."""
    if name.startswith(SHARED):
        return MemoryScope(name=name, writes=False)
    if user is not None:
        return MemoryScope(name=user_memory(user, name), writes=True, user=user)
    return MemoryScope(name=f"run/{run_name}/{contestant}/{name}", writes=True, run=run)


def user_memory(user: str, name: str) -> str:
    """The whole name of a user's memory."""
    return f"user/{user}/{name}"


class MemoryFact(StoredDocument):
    """One fact. `_id` is a digest of memory, job, turn and number; random for one that was written by hand."""

    id: str  # type: ignore[assignment]
    memory: str
    text: str
    run: str | None = None
    user: str | None = None
    job: str | None = None
    """None: written by hand."""
    turn: int | None = None
    number: int = 0
    model: str | None = None
    """Whose conversation it comes from."""
    fence: int = 0
    vector: bytes | None = None
    """Little-endian float32; None where it is not embedded yet."""
    embedder: str | None = None
    """Digest of the model that embedded it."""
    kept_at: datetime
    edited_at: datetime | None = None

    class Settings:
        name = "facts"
        indexes: ClassVar = [
            IndexModel([("memory", ASCENDING), ("kept_at", ASCENDING)]),
            IndexModel([("run", ASCENDING)]),
            IndexModel([("job", ASCENDING), ("turn", ASCENDING)]),
        ]


@dataclass(frozen=True, kw_only=True)
class KeptTurn:
    """Whose facts are kept: a turn, under the fence of its job."""

    job: str
    turn: int
    fence: int
    model: str


def check_fact(text: str) -> str:
    """The text in one line. Raises UsageError for one that is empty or too long."""
    line = " ".join(text.split())
    if not line:
        raise UsageError("The fact is empty: there is nothing to keep.")
    if len(line) > MOST_CHARS:
        raise UsageError(f"The fact has {len(line):,} characters, and at most {MOST_CHARS} are kept. Write it shorter.")
    return line


async def facts_of_memory(memory: str, database: Database) -> list[MemoryFact]:
    """The facts of a memory, in the order in which they were kept."""
    return (
        await MemoryFact.find({"memory": memory})
        .sort("+kept_at", "+turn", "+number", "+_id")
        .limit(MOST_FACTS)
        .to_list()
    )


async def keep_facts(
    scope: MemoryScope,
    turn: KeptTurn,
    facts: Sequence[tuple[str, bytes]],
    embedder: str,
    now: datetime,
    database: Database,
) -> tuple[str, ...]:
    """Keeps what a turn says anew, pairs of text and vector; the texts kept. Safe to repeat.

    What other turns said already is not kept twice, and a full memory keeps nothing more.
    """
    own: Row = {"memory": scope.name, "job": turn.job, "turn": turn.turn}
    others: Row = {"memory": scope.name, "$nor": [{"job": turn.job, "turn": turn.turn}]}
    known = {str(row["text"]).casefold() async for row in database.raw["facts"].find(others, {"text": 1})}
    new = {text.casefold(): (text, vector) for text, vector in facts if text.casefold() not in known}
    kept = list(new.values())[: max(0, MOST_FACTS - len(known))]
    for number, (text, vector) in enumerate(kept):
        fact: Row = {"run": scope.run, "user": scope.user, **own, "number": number, "model": turn.model}
        fact |= {"text": text, "vector": vector, "embedder": embedder, "fence": turn.fence, "kept_at": now}
        older: Row = {"_id": digest("fact", scope.name, turn.job, turn.turn, number), "fence": {"$lte": turn.fence}}
        try:
            await database.raw["facts"].update_one(older, {"$set": fact}, upsert=True)
        except DuplicateKeyError:  # a later owner of the job was here
            return ()
    late: Row = {"number": {"$gte": len(kept)}, "fence": {"$lte": turn.fence}}
    await database.raw["facts"].delete_many(own | late)
    return tuple(text for text, _ in kept)


async def add_fact(memory: str, text: str, now: datetime, database: Database) -> MemoryFact:
    """Writes a fact by hand; a shared memory begins with its first. Raises UsageError, UnknownNameError."""
    line = check_fact(text)
    if not memory.startswith(SHARED):
        await check_memory(memory, database)
    elif not re.fullmatch(MEMORY_PATTERN, memory):
        raise UsageError(f"{memory!r} is no name of a memory: after {SHARED!r} come letters, digits, '.', '_' and '-'.")
    there = await facts_of_memory(memory, database)
    if len(there) >= MOST_FACTS:
        raise UsageError(f"The memory {memory!r} is full: it holds {MOST_FACTS:,} facts. Remove some first.")
    _check_new(line, there)
    first = there[0] if there else None
    run, user = (first.run, first.user) if first is not None else (None, None)
    fact = MemoryFact(id=uuid.uuid4().hex, memory=memory, text=line, run=run, user=user, kept_at=now)
    await fact.insert()
    return fact


def _check_new(line: str, others: Sequence[MemoryFact]) -> None:
    for fact in others:
        if fact.text.casefold() == line.casefold():
            raise UsageError(f"The memory {fact.memory!r} holds this fact already: {fact.id[:10]}.")


async def edit_fact(memory: str, identity: str, text: str, now: datetime, database: Database) -> MemoryFact:
    """Writes another text in a fact's place. Raises UsageError, UnknownNameError."""
    fact = await find_fact(memory, identity, database)
    _check_new(check_fact(text), [other for other in await facts_of_memory(memory, database) if other.id != fact.id])
    fact.text, fact.vector, fact.embedder, fact.edited_at = check_fact(text), None, None, now
    await fact.save()
    return fact


async def find_fact(memory: str, identity: str, database: Database) -> MemoryFact:
    """A memory's fact by the beginning of its id. Raises UnknownNameError; UsageError where several begin so."""
    await check_memory(memory, database)
    found = [fact for fact in await facts_of_memory(memory, database) if fact.id.startswith(identity)]
    if not found or not identity:
        raise UnknownNameError("fact", identity, (), f"`nightjar memory show {memory}` has their ids.")
    if len(found) > 1:
        raise UsageError(f"{len(found)} facts of {memory!r} have ids that begin with {identity!r}. Give more of it.")
    return found[0]


async def memories(database: Database) -> dict[str, int]:
    """How many facts each memory has, by whole name."""
    stages: list[Row] = [{"$group": {"_id": "$memory", "facts": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    return {row["_id"]: row["facts"] async for row in await database.raw["facts"].aggregate(stages)}


async def check_memory(memory: str, database: Database) -> None:
    """Raises UnknownNameError for a memory without a single fact."""
    if await database.raw["facts"].find_one({"memory": memory}, {"_id": 1}) is None:
        known = await memories(database)
        raise UnknownNameError("memory", memory, known, f"`nightjar memory add {SHARED}NAME 'a fact'` makes one.")


async def forget_memory(memory: str, database: Database) -> int:
    """Removes a memory with all its facts; how many. Raises UnknownNameError."""
    await check_memory(memory, database)
    return (await database.raw["facts"].delete_many({"memory": memory})).deleted_count
