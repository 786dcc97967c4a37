"""How far each sequence of a run is with each contestant: one aggregation over the jobs shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import ASKED_AS
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.variants import contestant_name


@dataclass(frozen=True, kw_only=True)
class SequenceCell:
    """The reply jobs of one sequence with one contestant: as many as there are repeats."""

    sequence: str
    contestant: str
    jobs: int
    done: int
    running: int
    dead: int


async def sequence_grid(run: str, sequences: Sequence[str], database: Database) -> list[SequenceCell]:
    """The cells of these sequences of the run (its id), in no order; a cell without jobs is left out."""

    def counted(status: JobStatus) -> Row:
        return {"$sum": {"$cond": [{"$eq": ["$status", status]}, 1, 0]}}

    steps: list[Row] = [
        {"$match": {"run": run, "kind": JobKind.REPLY, "sequence": {"$in": list(sequences)}}},
        {
            "$group": {
                "_id": {"sequence": "$sequence", "model": ASKED_AS, "variant": "$variant"},
                "jobs": {"$sum": 1},
                "done": counted(JobStatus.DONE),
                "running": counted(JobStatus.RUNNING),
                "dead": counted(JobStatus.DEAD),
            }
        },
    ]
    return [
        SequenceCell(
            sequence=row["_id"]["sequence"],
            contestant=contestant_name(row["_id"]["model"], row["_id"].get("variant")),
            jobs=row["jobs"],
            done=row["done"],
            running=row["running"],
            dead=row["dead"],
        )
        async for row in await database.jobs.aggregate(steps)
    ]
