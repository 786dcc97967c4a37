"""Live requests that are still kept: what an admin may know of them, and their texts for their user alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.documents import SequenceDocument
from nightjar.jobs.live.runs import LIVE, find_live
from nightjar.jobs.live.state import read_live_state
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind, JobStatus

_IDS, _REPORTED = ({"$first": {"$first": f"$turns.draws.{name}"}} for name in ("reply_ids", "reported_tokens"))
_FIELDS: Row = {
    **dict.fromkeys("kind model status created_at finished_at live payload.task".split(), 1),
    "started_at": {"$first": "$attempts.started_at"},
    "prompt_tokens": {"$first": "$turns.prompt_tokens"},
    "reply_tokens": {
        "$let": {"vars": {"ids": _IDS}, "in": {"$cond": [{"$isArray": "$$ids"}, {"$size": "$$ids"}, _REPORTED]}}
    },
    "finish_reason": {"$first": {"$first": "$turns.draws.finish_reason"}},
}
"""No field that holds what somebody wrote: texts of others do not leave MongoDB."""


@dataclass(frozen=True, kw_only=True)
class KeptRequest:
    """A live request without any text. None: not known, or not yet."""

    id: str
    user: str
    model: str
    kind: str
    """reply, or the name of a task: tokenize, embed, ..."""
    status: JobStatus
    created_at: datetime
    started_at: datetime | None
    """When a worker first took it."""
    finished_at: datetime | None
    prompt_tokens: int | None
    reply_tokens: int | None
    finish_reason: str | None
    stored: bool
    """False: its texts go when the reply has been handed out."""
    request: str | None
    """Id of the HTTP request that it is part of, as the log has it."""


@dataclass(frozen=True, kw_only=True)
class KeptTexts:
    """A request as its user sees it. None: it has none, not yet, or they were not to be stored."""

    about: KeptRequest
    conversation: PromptSequence | None
    reply: str | None
    reasoning: str | None
    error: str | None
    """Why there will be no reply."""


async def list_kept(
    database: Database, *, user: str | None = None, limit: int = 100, after: str | None = None
) -> list[KeptRequest]:
    """Newest first, of this user or of all; `after`: those behind that one. Raises UnknownNameError if it is gone."""
    query: Row = LIVE if user is None else {"live.user": user}
    if after is not None:
        last = await database.jobs.find_one(query | {"_id": after}, {"created_at": 1})
        if last is None:
            raise UnknownNameError("live request", after, (), "It was removed meanwhile. Begin with the newest again.")
        moment = last["created_at"]
        query = {"$and": [query, {"$or": [{"created_at": {"$lt": moment}}, _behind(moment, after)]}]}
    cursor = database.jobs.find(query, _FIELDS).hint("live").sort([("created_at", -1), ("_id", -1)]).limit(limit)
    return [_kept(row) async for row in cursor]


def _behind(moment: datetime, identity: str) -> Row:
    return {"created_at": moment, "_id": {"$lt": identity}}


async def read_kept(job: str, user: str, database: Database) -> KeptTexts:
    """A user's own request with its texts. Raises UnknownNameError, also where it is another's."""
    found = await find_live(job, user, database)
    row = await database.jobs.find_one({"_id": job}, _FIELDS)
    state = await read_live_state(job, database)
    if row is None:
        raise UnknownNameError("live request", job, (), "It was removed just now.")
    sequence = await SequenceDocument.get(found.sequence_document)
    end = state.end() if state.status is JobStatus.DONE and state.row["turns"] else None
    return KeptTexts(
        about=_kept(row),
        conversation=None if sequence is None else sequence.sequence,
        reply=None if end is None else end.reply,
        reasoning=None if end is None else end.reasoning,
        error=None if state.error is None else str(state.error),
    )


def _kept(row: Mapping[str, Any]) -> KeptRequest:
    live, kind, task = row["live"], row.get("kind", JobKind.REPLY), (row.get("payload") or {}).get("task")
    return KeptRequest(
        id=row["_id"],
        user=live["user"],
        model=row["model"],
        kind=task or kind,
        status=JobStatus(row["status"]),
        created_at=row["created_at"],
        started_at=row.get("started_at"),
        finished_at=row.get("finished_at"),
        prompt_tokens=row.get("prompt_tokens"),
        reply_tokens=row.get("reply_tokens"),
        finish_reason=row.get("finish_reason"),
        stored=live.get("store", True),
        request=live.get("request"),
    )
