"""Publishing model facts, so that hosts without the file can enqueue and dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.database import Database
from jobs.documents import utc_now
from jobs.models import ModelFacts


async def publish_model(
    database: Database, facts: ModelFacts, by: str, *, origin: Mapping[str, Any] | None = None
) -> None:
    """Stores the facts under the model's name; the newest publication wins. `by`: the publishing host.

    `origin`: where that host had the model from, for whoever wants the same one.
    """
    await database.raw["models"].replace_one(
        {"_id": facts.name},
        {
            "facts": facts.model_dump(mode="json"),
            "origin": None if origin is None else dict(origin),
            "published_by": by,
            "published_at": utc_now(),
        },
        upsert=True,
    )
