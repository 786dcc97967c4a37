"""Which replies a run has, told apart by what was asked and by what they say, without their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import asked_as
from nightjar.jobs.states import JobKind
from nightjar.jobs.variants import contestant_name

ConversationKey = tuple[str, int, int]
"""The same in two runs that asked the same: digest of the sequence's content, how many sequences before it have the
same one, repeat from 0."""


@dataclass(frozen=True, kw_only=True)
class ConversationMark:
    """A job and its committed turns: a digest each, equal where the replies' texts are."""

    job: str
    replies: tuple[bytes, ...]


async def conversation_marks(run: Run, database: Database) -> dict[str, dict[ConversationKey, ConversationMark]]:
    """By contestant, its conversations in the run's order."""
    fields = ("order", "model", "variant", "routed.asked_as", "sequence", "sequence_digest", "repeat")
    query, wanted = {"run": run.id, "kind": JobKind.REPLY}, dict.fromkeys((*fields, "turns.draws.reply"), 1)
    found: list[tuple[Row, ConversationMark]] = []
    async for row in database.jobs.find(query, wanted):
        replies = tuple(_digest(turn["draws"][0]["reply"]) for turn in row.pop("turns"))
        found.append((row, ConversationMark(job=row["_id"], replies=replies)))
    marks: dict[str, dict[ConversationKey, ConversationMark]] = {}
    alike: dict[str, list[str]] = {}
    for row, mark in sorted(found, key=lambda each: each[0]["order"]):
        same = alike.setdefault(row["sequence_digest"], [])
        if row["sequence"] not in same:
            same.append(row["sequence"])
        key = (row["sequence_digest"], same.index(row["sequence"]), row["repeat"])
        marks.setdefault(contestant_name(asked_as(row), row.get("variant")), {})[key] = mark
    return marks


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


async def job_ids(query: Mapping[str, Any], order: Sequence[str], database: Database) -> list[str]:
    """Of the jobs that a query finds, in the order of these fields.

    One look for all of them: a query for words reads every reply, and counting apart would read them once more.
    """
    found = database.jobs.find(query, {"_id": 1}).sort([(key, ASCENDING) for key in order])
    return [row["_id"] async for row in found]


async def jobs_by_id(ids: Collection[str]) -> dict[str, Job]:
    """With their whole transcripts."""
    return {job.id: job for job in await Job.find({"_id": {"$in": list(ids)}}).to_list()}
