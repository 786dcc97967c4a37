"""What a model at an endpoint took for the same prompts as other models, in the evaluations that had both."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.remote_models import TokenUse
from nightjar.jobs.states import JobKind, JobStatus, RunKind

NEWEST = 20
"""Runs that are read, the newest first."""
MOST = 5_000
"""Conversations of other models that are read."""


@dataclass(frozen=True, kw_only=True)
class PairedUse:
    """One conversation: tokens of the model at the endpoint, and of another model for the same prompts."""

    sequence: str
    reference: TokenUse
    other: TokenUse


async def paired_use(reference: str, database: Database) -> list[PairedUse]:
    """Of the newest runs; conversations that one of the two did not finish are left out."""
    spent: Row = {"model": reference, "kind": JobKind.REPLY, "settled": True, "lost": False}
    newest: list[Row] = [
        {"$match": spent},
        {"$group": {"_id": "$run", "at": {"$max": "$at"}}},
        {"$sort": {"at": -1}},
        {"$limit": 5 * NEWEST},
    ]
    ids = [row["_id"] async for row in await database.raw["expenses"].aggregate(newest)]
    evaluations: Row = {"_id": {"$in": ids}, "kind": RunKind.EVALUATION}
    known = {row["_id"] async for row in database.runs.find(evaluations, {"_id": 1})}
    runs = [run for run in ids if run in known][:NEWEST]
    done: Row = {"run": {"$in": runs}, "kind": JobKind.REPLY, "status": JobStatus.DONE}
    mine: dict[tuple[str, str, int], TokenUse] = {}
    others: list[tuple[tuple[str, str, int], TokenUse]] = []
    stages: list[Row] = [{"$match": done}, {"$project": _TAKEN}, {"$limit": 2 * MOST}]
    async for row in await database.jobs.aggregate(stages, hint="status"):
        key = (row["run"], row["sequence"], row["repeat"])
        use = TokenUse(prompt=row["prompt"], reply=row["reply"])
        if row["model"] == reference:
            mine[key] = use
        elif len(others) < MOST:
            others.append((key, use))
    return [
        PairedUse(sequence=f"{key[0]} {key[1]}", reference=mine[key], other=use) for key, use in others if key in mine
    ]


_OF_DRAW: Row = {"$cond": [{"$isArray": "$$draw.reply_ids"}, {"$size": "$$draw.reply_ids"}, "$$draw.reported_tokens"]}
_OF_TURN: Row = {"$sum": {"$map": {"input": "$$turn.draws", "as": "draw", "in": _OF_DRAW}}}
_TAKEN: Row = {
    **dict.fromkeys("run sequence repeat model".split(), 1),
    "prompt": {"$sum": "$turns.prompt_tokens"},
    "reply": {"$sum": {"$map": {"input": "$turns", "as": "turn", "in": _OF_TURN}}},
}
