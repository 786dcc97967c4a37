"""Replies to live requests that are kept, so that the same request is answered at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pydantic import TypeAdapter
from pymongo import ASCENDING, IndexModel

from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.mongo import Database
from nightjar.jobs.stored import StoredDocument

KEPT_REASONS = frozenset({"stop", "length"})
"""Why a reply ended that would end so again; a time limit's would not."""
MEGABYTE = 2**20
_END = TypeAdapter(LiveEnd)


class CachedReply(StoredDocument):
    """A reply; `_id` is what `reply_key` made of its request."""

    id: str  # type: ignore[assignment]
    user: str
    end: dict[str, Any]
    """A LiveEnd."""
    size: int
    """Bytes, about: of the text and its log-probabilities."""
    created_at: datetime
    expires_at: datetime

    class Settings:
        name = "cached_replies"
        indexes: ClassVar = [
            IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
            IndexModel([("created_at", ASCENDING), ("size", ASCENDING)], name="age"),
            IndexModel([("user", ASCENDING)], name="user"),
        ]


def as_shared(end: LiveEnd) -> LiveEnd:
    """The same reply for another who waited for it: it costs nothing more."""
    return replace(end, cached=True, usd=None if end.usd is None else 0.0, saved_usd=end.usd)


def as_known(end: LiveEnd) -> LiveEnd:
    """The same reply, given again: it took no time either."""
    took_none: dict[str, Any] = dict.fromkeys(("claim_s", "queue_s", "prefill_s", "decode_s"), 0.0)
    return replace(as_shared(end), **took_none, first_token_s=None)


async def find_cached(key: str) -> LiveEnd | None:
    """As it was when it was computed; None where there is none that counts."""
    kept = await CachedReply.find_one({"_id": key, "expires_at": {"$gt": datetime.now(UTC)}})
    return None if kept is None else _END.validate_python(kept.end)


async def keep_reply(key: str, user: str, end: LiveEnd, *, for_s: float, most_mb: float) -> None:
    """Keeps a reply, unless it would end otherwise the next time or is larger than all may be together."""
    stored = _END.dump_python(end)
    size = len(end.reply) + len(end.reasoning) + sum(len(str(chance)) for chance in stored["chances"])
    if end.finish_reason not in KEPT_REASONS or size > most_mb * MEGABYTE:
        return
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=for_s)
    await CachedReply(id=key, user=user, end=stored, size=size, created_at=now, expires_at=expires_at).save()


async def drop_oldest_replies(most_mb: float, database: Database) -> int:
    """Removes the oldest until the rest is small enough; how many."""
    collection = database.raw["cached_replies"]
    room, gone = most_mb * MEGABYTE, []
    async for row in collection.find({}, {"size": 1}).sort("created_at", -1).hint("age"):
        room -= row["size"]
        if room < 0:
            gone.append(row["_id"])
    if gone:
        await collection.delete_many({"_id": {"$in": gone}})
    return len(gone)
