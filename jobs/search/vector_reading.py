"""What a search reads of the stored vectors: which there are, which hold words, where their texts stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import asked_as
from nightjar.jobs.search.vectors import TextKind, TextPlace
from nightjar.jobs.states import RunKind
from nightjar.jobs.variants import contestant_name

LIVE_RUN = "live"
"""What the run of a live request is called; nobody but its user sees it."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What somebody may find, and wants to: a query on `TextPlace`."""

    user: str | None = None
    """His own live requests are among it."""
    run: str | None = None
    model: str | None = None
    part: TextKind | None = None

    def holds(self, place: TextPlace) -> bool:
        wanted = ((self.run, place.run), (self.model, place.model), (self.part, place.part))
        return place.user in (None, self.user) and all(value in (None, there) for value, there in wanted)

    @property
    def query(self) -> Row:
        given = {"run": self.run, "model": self.model, "part": self.part}
        place = {name: value for name, value in given.items() if value is not None}
        return {"refs": {"$elemMatch": {"user": {"$in": [None, self.user]}, **place}}}


@dataclass(frozen=True, kw_only=True)
class StoredText:
    text: str
    places: tuple[TextPlace, ...]


@dataclass(frozen=True, kw_only=True)
class HitPlace:
    """Where a hit's text stands. `turn` and `repeat` count from 1."""

    run: str
    """Its name; `LIVE_RUN` for a live request."""
    job: str
    turn: int
    part: TextKind
    model: str
    """The contestant that was asked, or whose reply was judged."""
    sequence: str | None
    """None for a live request."""
    repeat: int | None


async def vectors_state(model: str, database: Database) -> tuple[int, str | None]:
    """How many vectors of a model there are, and when the newest came: together they say whether a copy is stale."""
    query: Row = {"model": model}
    newest = await database.raw["vectors"].find_one(query, {"at": 1}, sort=[("at", -1)])
    count = await database.raw["vectors"].count_documents(query)
    return count, None if newest is None else newest["at"].isoformat()


async def any_vectors(database: Database) -> bool:
    """Whether there are vectors of any model."""
    return await database.raw["vectors"].find_one({}, {"_id": 1}) is not None


async def asked_models(model: str, database: Database) -> list[str]:
    """The contestants and judges of evaluations whose texts have vectors of that model."""
    names = await database.raw["vectors"].distinct("refs.model", {"model": model, "refs.user": None})
    return [str(name) for name in names]


async def vectors_by_id(model: str, batch: int, database: Database) -> AsyncIterator[list[tuple[str, bytes]]]:
    """(id, vector) of a model's texts in the order of ids, in batches."""
    cursor = database.raw["vectors"].find({"model": model}, {"vector": 1}).sort("_id", 1).batch_size(batch)
    while rows := await cursor.to_list(batch):
        yield [(row["_id"], row["vector"]) for row in rows]


async def known_vectors(ids: Iterable[str], database: Database) -> set[str]:
    """Those of the ids that are there."""
    return {row["_id"] async for row in database.raw["vectors"].find({"_id": {"$in": list(ids)}}, {"_id": 1})}


async def stored_vectors(ids: Iterable[str], database: Database) -> dict[str, bytes]:
    """Vectors as they are stored, float16, by id; left out is what has none."""
    rows = database.raw["vectors"].find({"_id": {"$in": list(ids)}}, {"vector": 1})
    return {row["_id"]: row["vector"] async for row in rows}


async def seen_ids(seen: Seen, model: str, database: Database, *, among: Sequence[str] | None = None) -> list[str]:
    """Ids of the model's texts that somebody may find."""
    query = seen.query | {"model": model} | ({} if among is None else {"_id": {"$in": list(among)}})
    return [row["_id"] async for row in database.raw["vectors"].find(query, {"_id": 1})]


async def repeated_ids(seen: Seen, model: str, database: Database) -> list[str]:
    """Ids of the model's texts that stand at more than one place that somebody may find."""
    twice: Row = {"$match": {"refs.1": {"$exists": True}}}
    stages: list[Row] = [{"$match": seen.query | {"model": model}}, twice, {"$project": {"refs": 1}}]
    every = await database.raw["vectors"].aggregate(stages)
    return [
        row["_id"] async for row in every if sum(seen.holds(TextPlace.model_validate(ref)) for ref in row["refs"]) > 1
    ]


async def ids_with_phrases(phrases: Sequence[str], seen: Seen, model: str, most: int, database: Database) -> list[str]:
    """Ids of the texts that hold every phrase, the best first."""
    quoted = " ".join(f'"{phrase}"' for phrase in phrases)
    query = {"$text": {"$search": quoted}, "model": model} | seen.query
    score: Row = {"score": {"$meta": "textScore"}}
    cursor = database.raw["vectors"].find(query, {"_id": 1} | score).sort([("score", {"$meta": "textScore"})])
    return [row["_id"] async for row in cursor.limit(most)]


async def read_stored_texts(ids: Sequence[str], seen: Seen, database: Database) -> dict[str, StoredText]:
    """The texts with those of their places that somebody may see, by id; left out are those without one."""
    texts = {}
    async for row in database.raw["vectors"].find({"_id": {"$in": list(ids)}}, {"text": 1, "refs": 1}):
        every = (TextPlace.model_validate(ref) for ref in row["refs"])
        if places := tuple(place for place in every if seen.holds(place)):
            texts[row["_id"]] = StoredText(text=row["text"], places=places)
    return texts


async def reply_vector(
    job: str, turn: int, user: str | None, model: str, database: Database
) -> tuple[str, bytes] | None:
    """Id and vector of a reply; None where it has none, or is another user's."""
    place: Row = {"job": job, "turn": turn, "part": TextKind.REPLY, "user": {"$in": [None, user]}}
    row = await database.raw["vectors"].find_one({"model": model, "refs": {"$elemMatch": place}}, {"vector": 1})
    return None if row is None else (row["_id"], row["vector"])


async def describe_places(places: Iterable[TextPlace], database: Database) -> dict[TextPlace, HitPlace]:
    """The places in the words of a person; those are left out whose run or job is gone."""
    places = list(dict.fromkeys(places))
    of_runs: Row = {"_id": {"$in": sorted({place.run for place in places})}}
    runs = {row["_id"]: row async for row in database.runs.find(of_runs, {"name": 1, "kind": 1})}
    fields = dict.fromkeys(("sequence", "repeat", "model", "routed.asked_as", "variant"), 1)
    of_jobs: Row = {"_id": {"$in": sorted({place.job for place in places})}}
    jobs = {row["_id"]: row async for row in database.jobs.find(of_jobs, fields)}
    return {
        place: _described(place, runs[place.run], jobs[place.job])
        for place in places
        if place.run in runs and place.job in jobs
    }


def _described(place: TextPlace, run: Mapping[str, Any], job: Mapping[str, Any]) -> HitPlace:
    live = run.get("kind") == RunKind.LIVE
    return HitPlace(
        run=LIVE_RUN if live else run["name"],
        job=place.job,
        turn=place.turn + 1,
        part=place.part,
        model=contestant_name(asked_as(job), job.get("variant")),
        sequence=None if live else job["sequence"],
        repeat=None if live else job["repeat"] + 1,
    )
