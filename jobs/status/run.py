"""Runs as they are listed and described: what a run is made of, how it stands, and how it is to end or did."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime

from pydantic import JsonValue

from nightjar.jobs.documents import Run, RunModel
from nightjar.jobs.ending import EndingView, Event, GateOutcome, GateVerdict
from nightjar.jobs.fidelity import RunFidelity
from nightjar.jobs.judgings import JudgeCheck, Judging, JudgingStatus
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import Delivery, DeliveryState
from nightjar.jobs.reading import read_each
from nightjar.jobs.states import EVALUATIONS, JobStatus, RunStatus
from nightjar.jobs.status import census
from nightjar.jobs.status.views import JobCounts
from nightjar.jobs.waves import Waves

REASONS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run in the list. `run`: its name; `models`: their names; `created`: in this machine's time."""

    id: str
    run: str
    status: RunStatus
    suite: str
    models: str
    done: int
    dead: int
    jobs: int
    created: str
    judging_shown: int | None = None
    """The judging that counts, and the one that is under way, by their numbers."""
    judging_under_way: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunModelView:
    """A model that replies in a run, or a policy whose candidates do."""

    name: str
    digest: str | None
    """None until a worker has loaded it."""
    path: str | None
    jobs: dict[str, int] | None
    """By status, beside `turns` committed and `empty` ones; None where it has no jobs yet."""
    loads: int
    policy: str | None = None
    """KIND:NAME@VERSION of a policy, which is no model; None: it is a model."""
    answered: dict[str, int] | None = None
    """Of a policy: how many of its conversations are each candidate's."""


@dataclass(frozen=True, kw_only=True)
class DeadReason:
    """DEAD jobs of a run with one reason; `example` is the id of one of them."""

    reason: str | None
    jobs: int
    example: str


@dataclass(frozen=True, kw_only=True)
class GateView:
    """What one gate said, also as a sentence (`text`)."""

    gate: str
    about: str
    outcome: GateOutcome
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class VerdictView:
    """What the gates of a run said at its end."""

    outcome: GateOutcome
    failed: bool
    baseline: str | None
    results: tuple[GateView, ...]


@dataclass(frozen=True, kw_only=True)
class JudgingView:
    """A judging of a run. Moments are ISO 8601; `rubric`: its name."""

    number: int
    status: JudgingStatus
    reason: str | None
    judges: list[str]
    rubric: str | None
    self_judging: bool
    against: str | None
    gates: VerdictView | None
    answer: str | None
    files: list[str]
    begun_at: str | None
    ended_at: str | None


@dataclass(frozen=True, kw_only=True)
class DeliveryView:
    """A call about the run's end; `hook` without what a web address may hide."""

    id: str
    event: Event
    hook: str
    state: DeliveryState
    tries: int
    outcome: str | None
    output: str | None
    called_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class RunDetail:
    """A run in full. Moments are ISO 8601."""

    id: str
    name: str
    status: RunStatus
    status_reason: str | None
    suite: str
    suite_name: str
    suite_version: int
    repeats: int
    seed: int
    set_parameters: dict[str, JsonValue]
    set_model_parameters: dict[str, dict[str, JsonValue]]
    date: str
    priority: int
    max_tries: int
    max_lapses: int
    max_crashes: int
    fail_on_error: float | None
    jobs_total: int
    expanded: int
    expanded_at: str | None
    planned: bool
    judges: list[str]
    """Of the judging that counts, as are the two after it."""
    self_judging: bool
    against: str | None
    embed_model: str | None
    measures: dict[str, JsonValue]
    helpers: tuple[RunModel, ...]
    check: JudgeCheck | None
    schedule: str | None
    tick: str | None
    series: str | None
    deadline_met: bool
    answer: str | None
    files: list[str]
    stalled_at: str | None
    nightjar_version: str
    content: str
    created_at: str
    finished_at: str | None
    sequences: tuple[str, ...]
    models: tuple[RunModelView, ...]
    jobs: dict[str, int]
    """By status; every status is there."""
    dead_reasons: tuple[DeadReason, ...]
    ending: EndingView
    gates: VerdictView | None
    deliveries: tuple[DeliveryView, ...]
    transcripts_dropped_at: datetime | None
    judgings: tuple[JudgingView, ...]
    judging_shown: int | None
    judging_under_way: int | None
    variants: tuple[str, ...]
    waves: Waves | None
    """Of a run that stops when it is decided, with what each look found."""
    fidelity: RunFidelity | None
    """What its models are held against."""


_OF_JUDGING = ("judges", "self_judging", "against")
_MADE = frozenset(
    {
        "helpers",
        "check",
        "sequences",
        "models",
        "variants",
        "ending",
        "transcripts_dropped_at",
        "waves",
        "fidelity",
        *_OF_JUDGING,
    }
)
_COPIED = {field.name for field in fields(RunDetail)} - _MADE
"""Fields that are shown as they are stored, by the run or in what is nested in it."""


async def newest_run_names(limit: int, database: Database) -> list[str]:
    """Of evaluations, for somebody who chooses one; nothing else of them is read."""
    newest = database.runs.find(EVALUATIONS, {"name": 1}).sort("created_at", -1).limit(limit)
    return [str(row["name"]) for row in await newest.to_list()]


async def list_runs(
    limit: int, database: Database, *, before: datetime | None = None, words: str = "", suite: str = ""
) -> list[ListedRun]:
    """The newest runs, or the newest of those that were made before then; newest first.

    `words`: these stand in the run's name, a model's or its status; `suite`: this in its NAME@VERSION; in either case.
    """
    query: Row = EVALUATIONS if before is None else {**EVALUATIONS, "created_at": {"$lt": before}}
    if words:
        pattern = {"$regex": re.escape(words), "$options": "i"}
        query = {**query, "$or": [{"name": pattern}, {"models.name": pattern}, {"status": pattern}]}
    if suite:
        version = {"$concat": ["$suite_name", "@", {"$toString": "$suite_version"}]}
        query = {**query, "$expr": {"$regexMatch": {"input": version, "regex": re.escape(suite), "options": "i"}}}
    runs = await read_each(Run, query, database, newest_by="created_at", limit=limit)
    counts = await census.count_each({run.id: run.jobs_total for run in runs}, database)
    return [_listed(run, counts[run.id]) for run in runs]


def _listed(run: Run, jobs: JobCounts) -> ListedRun:
    return ListedRun(
        id=run.id,
        run=run.name,
        status=run.status,
        suite=f"{run.suite_name}@{run.suite_version}",
        models=", ".join(model.name for model in run.models),
        done=jobs.of(JobStatus.DONE).jobs,
        dead=jobs.of(JobStatus.DEAD).jobs,
        jobs=run.jobs_total,
        created=f"{run.created_at.astimezone():%Y-%m-%d %H:%M}",
        **run.judging.numbers(),
    )


async def describe_run(run: Run, database: Database) -> RunDetail:
    """A run with its jobs by status and by model, why jobs are dead, and how it is to end or did."""
    counts = await census.count(run.id, database)
    asked = await census.count_asked(run.id, database) if run.candidates else counts
    answered = await census.count_answered(run.id, database) if run.candidates else {}
    stored: Row = {}
    for document in (run, run.judging, run.outcome):
        stored |= document.model_dump(mode="json", include=_COPIED)
    return RunDetail(
        **stored,
        helpers=tuple(run.helpers),
        check=run.judging.check,
        judgings=tuple(_judging_view(judging) for judging in run.judging.passes),
        **run.judging.numbers(),
        **{name: getattr(run.judging, name) for name in _OF_JUDGING},
        sequences=tuple(run.sequences),
        models=tuple(_model_view(model, asked, answered.get(model.name)) for model in run.models),
        variants=tuple(variant.name for variant in run.variants),
        waves=run.waves,
        fidelity=run.fidelity,
        jobs=counts.by_status(),
        dead_reasons=await _dead_reasons(run, database),
        ending=run.ending.shown(),
        gates=_verdict_view(run.outcome.verdict),
        deliveries=await _deliveries(run),
        transcripts_dropped_at=run.transcripts_dropped_at,
    )


def _model_view(model: RunModel, counts: JobCounts, answered: dict[str, int] | None) -> RunModelView:
    total = counts.of(model=model.name)
    turns = {"turns": total.committed, "empty": total.empty}
    return RunModelView(
        name=model.name,
        digest=model.digest,
        path=model.path,
        jobs=counts.by_status(model.name) | turns if total.jobs else None,
        loads=len(model.loads),
        policy=None if model.policy is None else model.policy.id,
        answered=answered,
    )


async def _dead_reasons(run: Run, database: Database) -> tuple[DeadReason, ...]:
    groups: list[Row] = [
        {"$match": {"run": run.id, "status": JobStatus.DEAD}},
        {"$group": {"_id": "$reason", "jobs": {"$sum": 1}, "example": {"$first": "$_id"}}},
        {"$sort": {"jobs": -1}},
        {"$limit": REASONS_SHOWN},
    ]
    rows = await database.jobs.aggregate(groups)
    return tuple([DeadReason(reason=row["_id"], jobs=row["jobs"], example=row["example"]) async for row in rows])


def _judging_view(judging: Judging) -> JudgingView:
    return JudgingView(
        number=judging.number,
        status=judging.status,
        reason=judging.reason,
        judges=judging.judges,
        rubric=(judging.rubric or {}).get("name"),
        self_judging=judging.self_judging,
        against=judging.against,
        gates=_verdict_view(judging.verdict),
        answer=judging.answer,
        files=judging.files,
        begun_at=judging.begun_at.isoformat() if judging.begun_at is not None else None,
        ended_at=judging.ended_at.isoformat() if judging.ended_at is not None else None,
    )


def _verdict_view(verdict: GateVerdict | None) -> VerdictView | None:
    if verdict is None:
        return None
    results = [
        GateView(
            gate=str(result.gate),
            about=result.about,
            outcome=result.outcome,
            reason=result.reason,
            text=result.sentence(),
        )
        for result in verdict.results
    ]
    return VerdictView(
        outcome=verdict.outcome, failed=verdict.failed, baseline=verdict.baseline, results=tuple(results)
    )


async def _deliveries(run: Run) -> tuple[DeliveryView, ...]:
    return tuple(
        DeliveryView(
            id=delivery.id,
            event=delivery.event,
            hook=str(delivery.hook),
            state=delivery.state,
            tries=delivery.tries,
            outcome=delivery.outcome,
            output=delivery.output,
            called_at=delivery.called_at,
        )
        for delivery in await Delivery.find({"run": run.id}).sort("+created_at").to_list()
    )
