"""Writing a run's judge jobs: inserted if absent, so that a dispatcher may die anywhere and another continues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.judgings import JudgeCheck, Judging, JudgingStatus
from nightjar.jobs.lookup import get_whole_run
from nightjar.jobs.mongo import Database, insert_absent
from nightjar.jobs.runs.open_jobs import FRESH, drop_open
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.sequences import sequence_key
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.judging.plan import JudgeJobSpec, plan_judging, plan_pairs, prompt_digest
from nightjar.pipeline.judging.plan_checks import plan_checks, taken_sequences
from nightjar.pipeline.judging.read_counts import silent_judges
from nightjar.pipeline.judging.read_judged import JudgedReader, panel_of
from nightjar.pipeline.judging.rubric import Method, read_rubric

_log = structlog.get_logger()
Batches = AsyncIterator[Iterable[JudgeJobSpec]]


async def write_judging(run: Run, database: Database) -> int:
    """Inserts the judge jobs that a run still lacks, including those of a check. Returns how many there are in all.

    The judging that is open gets its jobs; where none is, the one that counts gets those of replies that came later.
    Raises UsageError for an invalid rubric.
    """
    written = 0
    judging, check = run.judging.wanted, run.judging.check
    if judging is not None and judging.rubric is not None:
        batches = judging_batches(run, judging, judging.rubric, database)
        written += await _write(run, judging.rubric, batches, run.jobs_total, database, judging)
    if check is not None and not check.planned:
        batches = check_batches(run, check, database)
        written += await _write(run, check.rubric, batches, run.jobs_total + written, database)
    return written


async def mark_planned(run: Run, database: Database) -> None:
    """Says that all of the run as it was read is planned; what was asked for meanwhile is not planned yet."""
    judging = run.judging.model_dump(mode="python", include={"check", "shown"})
    seen: dict[str, Any] = {f"judging.{name}": value for name, value in judging.items()}
    seen["judging.passes"] = {"$size": len(run.judging.passes)}
    if (asked := run.judging.wanted) is not None:
        seen[f"judging.passes.{asked.number - 1}.status"] = asked.status
    query = {"_id": run.id, "status": RunStatus.JUDGING, "jobs_total": run.jobs_total, **seen}
    checked = {"judging.check.planned": True} if run.judging.check is not None else {}
    planned = {"judging.planned": True} | checked
    await database.runs.update_one(query, {"$set": planned})


async def judging_batches(run: Run, judging: Judging, data: Mapping[str, Any], database: Database) -> Batches:
    """The judge jobs of a judging by a stored rubric, whether or not they are written already."""
    rubric = read_rubric(data, f"the rubric of run {run.name}")
    against = await get_whole_run(judging.against) if judging.against else None
    panel = await panel_of(run, judging.judges, database, self_judging=judging.self_judging, against=against)
    reader = JudgedReader(database)
    if rubric.method is Method.POINTS:
        async for batch in reader.batches(run.id):
            yield plan_judging(run.id, batch, rubric, panel)
    elif judging.against is None or against is not None:  # a baseline that was removed has no replies to compare with
        async for pairs in reader.pairs(run, rubric, against):
            yield plan_pairs(run.id, pairs, rubric, panel)


async def check_batches(run: Run, check: JudgeCheck, database: Database) -> Batches:
    """The judge jobs of a check, whether or not they are written already."""
    rubric = read_rubric(check.rubric, f"the rubric of run {run.name}'s check")
    panel = await panel_of(run, check.judges, database, self_judging=check.self_judging)
    wanted = taken_sequences(run.asked, check.seed, check.sequences)
    jobs = await JudgedReader(database).of_sequences(run.id, wanted)
    yield plan_checks(run.id, jobs, rubric, panel, check.seed)


async def _write(
    run: Run,
    data: Mapping[str, Any],
    batches: Batches,
    order: int,
    database: Database,
    judging: Judging | None = None,
) -> int:
    digest = prompt_digest(read_rubric(data))
    now = await database.now()
    silent = await silent_judges(run, data, judging.judges, database) if judging is not None else []
    planned = 0
    async for batch in batches:
        specs = list(batch)
        await insert_absent(database.raw["sequences"], [_sequence_row(spec.sequence) for spec in specs])
        rows = [_job_row(run, spec, order + planned + at, digest, now) for at, spec in enumerate(specs)]
        await insert_absent(database.jobs, rows)
        planned += len(specs)
        ids = [spec.id for spec in specs]
        if judging is not None and not await asked_still(run, judging, ids, silent, database):
            break
    _log.info("judging_planned", run=run.id, name=run.name, jobs=planned, rubric=digest)
    return planned


async def asked_still(
    run: Run, judging: Judging, ids: Sequence[str], silent: Iterable[str], database: Database
) -> bool:
    """Has done after all what a cancelled judging left, or a judge without any verdict; False where this judging was
    cancelled while its jobs were written, which are dropped then.
    """
    status = f"judging.passes.{judging.number - 1}.status"
    if judging.status is JudgingStatus.OPEN and await database.runs.find_one({"_id": run.id, status: "OPEN"}) is None:
        only = {"_id": {"$in": list(ids)}}
        await drop_open(run.id, database, kinds=[JobKind.JUDGE], why="the judging was cancelled", only=only)
        return False
    if judging.begun_at is not None:
        of_silent = {"status": JobStatus.DEAD, "model": {"$in": list(silent)}}
        left: dict[str, Any] = {"_id": {"$in": list(ids)}, "finished_at": {"$lt": judging.begun_at}}
        left["$or"] = [{"status": JobStatus.CANCELLED}, of_silent]
        await database.jobs.update_many(left, [{"$set": FRESH}])
    return True


def _sequence_row(sequence: PromptSequence) -> dict[str, Any]:
    return {"_id": sequence_key(sequence), "sequence": sequence.model_dump(mode="json")}


def _job_row(run: Run, spec: JudgeJobSpec, order: int, rubric: str, now: datetime) -> dict[str, Any]:
    job = Job(
        id=spec.id,
        run=run.id,
        kind=JobKind.JUDGE,
        model=spec.judge,
        sequence=spec.sequence.id,
        sequence_digest=spec.sequence.digest,
        sequence_document=sequence_key(spec.sequence),
        repeat=spec.judged.repeat,
        tags=spec.judged.tags,
        order=order,
        priority=run.priority,
        due_at=now,
        turns_total=len(spec.sequence.turns),
        created_at=now,
        payload={"job": spec.judged.id, "turn": spec.turn, "rubric": rubric, **spec.more},
    )
    row: dict[str, Any] = get_dict(job, to_db=True)
    return row
