"""Publishing model facts, so that hosts without the file can enqueue and dispatch."""

from __future__ import annotations

from jobs.database import Database
from jobs.documents import utc_now
from jobs.models import ModelFacts


async def publish_model(database: Database, facts: ModelFacts, by: str) -> None:
    """Stores the facts under the model's name; the newest publication wins. `by`: the publishing host."""
    await database.raw["models"].replace_one(
        {"_id": facts.name},
        {"facts": facts.model_dump(mode="json"), "published_by": by, "published_at": utc_now()},
        upsert=True,
    )
