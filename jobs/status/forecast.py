"""How long a model will take for turns that are still to be made: from replies that it gave before and its speed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import read_each
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


async def usual_turn(run: Run, model: str, database: Database) -> UsualTurn | None:
    """A turn of the model as this run has it so far, else the newest run of its suite, else of any; None without."""
    for run_id in [run.id, *await _runs_before(run, model, database)]:
        usual = await _usual_in(run_id, model, database)
        if usual is not None:
            return usual
    return None


async def _runs_before(run: Run, model: str, database: Database) -> list[str]:
    """Ids of other runs with the model, those of the same suite first, newer ones first."""
    found: list[str] = []
    of_suite = database.runs.find(_with_model(run, model) | {"suite_name": run.suite_name}, {"_id": 1})
    of_others = database.runs.find(_with_model(run, model) | {"suite_name": {"$ne": run.suite_name}}, {"_id": 1})
    for cursor in (of_suite, of_others):
        found += [row["_id"] async for row in cursor.sort("created_at", -1).limit(_RUNS_READ)]
    return found


def _with_model(run: Run, model: str) -> Row:
    return {"_id": {"$ne": run.id}, "models.name": model}


async def _usual_in(run_id: str, model: str, database: Database) -> UsualTurn | None:
    query: Row = {"run": run_id, "model": model, "kind": JobKind.REPLY, "turns_committed": {"$gt": 0}}
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
