"""How long a model will take for turns that are still to be made: from replies that it gave before and its speed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import read_each
from nightjar.jobs.routing.routed import ASKED_AS
from nightjar.jobs.states import JobKind

FEWEST_TURNS = 3
"""From fewer nothing is concluded."""
_JOBS_READ = 40
_RUNS_READ = 5


@dataclass(frozen=True, kw_only=True)
class UsualTurn:
    """What a turn takes, in the mean of some."""

    computed_tokens: float
    """Of its prompt: those that no earlier turn had left in the cache."""
    reply_tokens: float


@dataclass(frozen=True, kw_only=True)
class AskedJobs:
    """Reply jobs of a run that have a sequence in common, and who answers them."""

    asked_as: str
    """A model of the run or a policy."""
    model: str
    document: str
    """`_id` of the stored sequence."""
    jobs: int


async def asked_jobs(run_id: str, database: Database) -> list[AskedJobs]:
    """All reply jobs of a run, grouped."""
    key: Row = {"asked_as": ASKED_AS, "model": "$model", "document": "$sequence_document"}
    steps: list[Row] = [
        {"$match": {"run": run_id, "kind": JobKind.REPLY}},
        {"$group": {"_id": key, "jobs": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    return [AskedJobs(**row["_id"], jobs=row["jobs"]) async for row in await database.jobs.aggregate(steps)]


async def usual_turn(run: Run, model: str, database: Database, *, kind: JobKind = JobKind.REPLY) -> UsualTurn | None:
    """A turn of the model as this run has it so far, else the newest run of its suite, else of any; None without.

    `kind`: REPLY, or JUDGE for what it does as a judge.
    """
    for run_id in [run.id, *await _runs_before(run, model, kind, database)]:
        usual = await _usual_in(run_id, model, kind, database)
        if usual is not None:
            return usual
    return None


async def _runs_before(run: Run, model: str, kind: JobKind, database: Database) -> list[str]:
    """Ids of other runs with the model, those of the same suite first, newer ones first."""
    found: list[str] = []
    role = "judging.passes.judges" if kind is JobKind.JUDGE else "models.name"
    others: Row = {"_id": {"$ne": run.id}, role: model}
    of_suite = database.runs.find(others | {"suite_name": run.suite_name}, {"_id": 1})
    of_others = database.runs.find(others | {"suite_name": {"$ne": run.suite_name}}, {"_id": 1})
    for cursor in (of_suite, of_others):
        found += [row["_id"] async for row in cursor.sort("created_at", -1).limit(_RUNS_READ)]
    return found


async def _usual_in(run_id: str, model: str, kind: JobKind, database: Database) -> UsualTurn | None:
    query: Row = {"run": run_id, "model": model, "kind": kind, "turns_committed": {"$gt": 0}}
    jobs = await read_each(Job, query, database, limit=_JOBS_READ)
    turns = [turn for job in jobs for turn in job.turns]
    if len(turns) < FEWEST_TURNS:
        return None
    return UsualTurn(
        computed_tokens=fmean(turn.prompt_tokens - turn.reused_tokens for turn in turns),
        reply_tokens=fmean(sum(draw.reply_tokens for draw in turn.draws) for turn in turns),
    )


def seconds_for(turns: int, usual: UsualTurn, speed: SpeedProbe, *, at_once: int) -> float:
    """How long a model of this speed takes for so many turns, with `at_once` conversations to choose from."""
    rates = [rate for slots, rate in speed.by_slots.items() if slots <= at_once]
    decode = max([speed.decode_tokens_per_s, *rates])
    return turns * (usual.computed_tokens / speed.prefill_tokens_per_s + usual.reply_tokens / decode)
