"""Facts of models, published so that hosts without the file can enqueue and dispatch: who writes and reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.documents import PublishedModel
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.reading import parse_each


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
    database.events.say(Moved(kind=EventKind.MODEL, model=facts.name))


async def published(names: Iterable[str], database: Database) -> dict[str, PublishedModel]:
    """What is published of these models, by name; left out are those that nobody published so that it can be read."""
    rows = database.raw["models"].find({"_id": {"$in": sorted(set(names))}})
    models = await parse_each("model", rows, PublishedModel.model_validate)
    return {model.id: model for model in models}


async def known_facts(names: Iterable[str], known: Iterable[str], database: Database) -> dict[str, ModelFacts]:
    """Published facts by name; a model that has none must be among the `known` ones. Raises UnknownNameError."""
    names, known = list(names), set(known)
    facts = {name: model.facts for name, model in (await published(names, database)).items()}
    for name in names:
        if name not in facts and name not in known:
            remedy = "Add it on the host that has the file: `nightjar model add`; or use `nightjar eval --model FILE`."
            raise UnknownNameError("model", name, {*known, *await database.raw["models"].distinct("_id")}, remedy)
    return facts


async def all_published(database: Database) -> list[PublishedModel]:
    """What is published of every model, by name; left out are those that cannot be read."""
    rows = database.raw["models"].find({}).sort("_id", 1)
    return await parse_each("model", rows, PublishedModel.model_validate)
