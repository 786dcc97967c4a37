"""Writing a run's judge jobs: inserted where absent, so that a dispatcher may die anywhere and another goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from config.errors import UsageError
from jobs.database import Database, insert_absent
from jobs.documents import Job, Run, SequenceDocument, SuiteVersion
from jobs.sequences import Mode
from jobs.sequences import Sequence as PromptSequence
from jobs.states import JobKind, JobStatus, RunStatus
from pipeline.freeze import judging_rubric
from pipeline.judging import JudgedJob, JudgeJobSpec, plan_judging
from pipeline.preflight import check_judges
from pipeline.scoring.judge_prompts import JudgedTurn
from pipeline.scoring.rubric import read_rubric
from pipeline.suites.content import sequence_key

BATCH_JOBS = 50
_FIELDS = dict.fromkeys(
    "model sequence sequence_document repeat tags turns.index turns.prompt turns.chain turns.draws.reply "
    "turns.draws.empty turns.draws.degenerate".split(),
    1,
)
_log = structlog.get_logger()


async def write_judging(run: Run, database: Database) -> int:
    """Inserts the judge jobs that a run with a rubric still lacks; how many there are in all.

    Raises UsageError for a rubric that is none. A run without a rubric or judges needs none.
    """
    if run.rubric is None or not run.judges:
        return 0
    rubric = read_rubric(run.rubric, f"the rubric of run {run.name}")
    order = run.jobs_total
    now = await database.now()
    async for batch in _judged(run, database):
        specs = list(plan_judging(run.id, batch, rubric, run.judges, self_judging=run.self_judging))
        await insert_absent(database.raw["sequences"], [_sequence_row(spec.sequence) for spec in specs])
        rows = [_job_row(run, spec, order + number, rubric.digest, now) for number, spec in enumerate(specs)]
        await insert_absent(database.jobs, rows)
        order += len(specs)
    planned = order - run.jobs_total
    _log.info("judging_planned", run=run.id, name=run.name, jobs=planned, rubric=rubric.digest)
    return planned


async def judge_again(
    run: Run,
    judges: Sequence[str],
    rubric: Mapping[str, Any] | None,
    database: Database,
    *,
    known_models: Sequence[str] = (),
    self_judging: bool = False,
) -> Run:
    """Moves a DONE run to JUDGING with these judges and this rubric (None: the run's, else its suite's).

    Verdicts by an earlier rubric stay and count no more. Raises UsageError, UnknownNameError, ModelError.
    """
    suite = await SuiteVersion.get(run.suite)
    if run.status is not RunStatus.DONE:
        raise UsageError(f"Run {run.name!r} is {run.status}; only a run that is DONE can be judged.")
    await check_judges(judges, known_models, database)
    stored = judging_rubric(rubric or run.rubric or (suite.rubric if suite else None), f"run {run.name!r}")
    change = {"judges": list(dict.fromkeys(judges)), "rubric": stored, "self_judging": self_judging, "planned": False}
    moved = await database.runs.update_one(
        {"_id": run.id, "status": RunStatus.DONE},
        {"$set": {**change, "status": RunStatus.JUDGING, "status_reason": None, "finished_at": None}},
    )
    if not moved.matched_count:
        raise UsageError(f"Run {run.name!r} is being changed by somebody else; look at `nightjar run show {run.name}`.")
    judged: Run = run.model_copy(update={**change, "status": RunStatus.JUDGING})
    return judged


async def _judged(run: Run, database: Database) -> AsyncIterator[list[JudgedJob]]:
    """DONE reply jobs in the run's order, in batches."""
    query = {"run": run.id, "kind": JobKind.REPLY, "status": JobStatus.DONE}
    cursor = database.jobs.find(query, _FIELDS).sort("order", 1)
    references: dict[str, PromptSequence] = {}
    while raws := await cursor.to_list(BATCH_JOBS):
        for key in {raw["sequence_document"] for raw in raws} - references.keys():
            document = await SequenceDocument.get(key)
            if document is not None:
                references[key] = document.sequence
        yield [_judged_job(raw, references.get(raw["sequence_document"])) for raw in raws]


def _judged_job(raw: Mapping[str, Any], sequence: PromptSequence | None) -> JudgedJob:
    turns = raw["turns"]
    return JudgedJob(
        id=raw["_id"],
        model=raw["model"],
        sequence=raw["sequence"],
        repeat=raw["repeat"],
        tags=tuple(raw["tags"]),
        system=sequence.system if sequence is not None else None,
        independent=sequence is not None and sequence.mode is Mode.INDEPENDENT,
        turns=tuple(
            JudgedTurn(
                index=turn["index"],
                prompt=turn["prompt"],
                reply=turn["draws"][0]["reply"],
                chain=turn["chain"],
                reference=sequence.turns[turn["index"]].reference if sequence is not None else None,
            )
            for turn in turns
        ),
        failures=frozenset(
            turn["index"] for turn in turns if turn["draws"][0].get("empty") or turn["draws"][0].get("degenerate")
        ),
    )


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
        payload={"job": spec.judged.id, "turn": spec.turn, "rubric": rubric},
    )
    row: dict[str, Any] = get_dict(job, to_db=True)
    return row
