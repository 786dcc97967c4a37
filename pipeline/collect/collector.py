"""Transcripts -> scores -> report. Writes nothing; `closing.py` does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from nightjar.config.errors import NightjarError, UnknownNameError, UsageError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.documents import Run, SequenceDocument, SuiteVersion
from nightjar.jobs.machines.workers import last_beats
from nightjar.jobs.money.energy import EnergyUse, RunEnergy, energy_of_run
from nightjar.jobs.money.job_spending import job_spending
from nightjar.jobs.money.spending import answers_named, spending
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.nights.documents import Aggregates
from nightjar.jobs.remote_models import Price
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import EVALUATIONS, TERMINAL_RUNS, JobKind, JobStatus, RunStatus
from nightjar.jobs.status import census
from nightjar.pipeline.collect.aggregates import VERSION, unpack, without_transcripts
from nightjar.pipeline.collect.fidelity import with_fidelity
from nightjar.pipeline.collect.gc_paused import gc_paused
from nightjar.pipeline.collect.run_scorers import RunScorers, read_run_sheet
from nightjar.pipeline.collect.scoring import scored_jobs
from nightjar.pipeline.fidelity.read_results import read_fidelity
from nightjar.pipeline.judging.read_counts import count_verdicts
from nightjar.pipeline.judging.verdicts import is_judges
from nightjar.pipeline.report.data.assemble import assemble
from nightjar.pipeline.report.data.costs import LocalWork, ModelCost, electricity_costs, model_costs
from nightjar.pipeline.report.data.inputs import models_of, provenance_of, workers_of
from nightjar.pipeline.report.data.judge_findings import with_judging
from nightjar.pipeline.report.data.judging_notices import judging_notices, not_complete
from nightjar.pipeline.report.data.notices import with_answers, with_left_out, with_verdict
from nightjar.pipeline.report.data.routes import candidate_shares
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.sequence_costs import SequenceCost, sequence_costs
from nightjar.pipeline.report.data.waves import WavesReport, waves_report
from nightjar.pipeline.transcripts import PIPELINE_STAGES, JobRow, RowReader

BATCH_JOBS = 100


async def collect(run_id: str, database: Database, *, judging: int | None = None) -> RunReport:
    """The report of a run as it is now, finished or not, by the judging that counts or the one with that number.

    Writes nothing. Raises UnknownNameError, UsageError.
    """
    run = await find(run_id, database)
    shown = run if judging is None else by_judging(run, judging)
    side = shown.judging.shown != run.judging.shown
    if run.transcripts_dropped_at is not None:
        if side:
            run.check_transcripts()
        return await _kept(run, run.transcripts_dropped_at, database)
    if run.judged_again:  # another judging that is under way changes nothing of the last
        shown = shown.model_copy(update={"status": RunStatus.DONE})
    with gc_paused():
        report, _ = await gather(shown, database)
    if side:
        report = replace(report, provenance=replace(report.provenance, side_judging=True))
    counted = shown.judging.current if side else shown.outcome
    verdict = counted.verdict if counted is not None and shown.status in TERMINAL_RUNS else None
    return with_verdict(report, verdict)


def by_judging(run: Run, number: int) -> Run:
    """The run as though that judging counted. Raises UsageError where it has no such judging."""
    if not 0 < number <= len(run.judging.passes):
        there = f"its judgings are 1 to {len(run.judging.passes)}" if run.judging.passes else "it was never judged"
        raise UsageError(f"Run {run.name!r} has no judging {number}: {there}. See `nightjar run show {run.name}`.")
    return run.model_copy(update={"judging": run.judging.showing(number)})


async def find(run_id: str, database: Database) -> Run:
    """The run with that id. Raises UnknownNameError, and UsageError where it is being removed."""
    run = await Run.get(run_id)
    if run is None:
        raise UnknownNameError("run", run_id, await database.runs.distinct("name", EVALUATIONS))
    run.check_not_removing()
    return run


async def _kept(run: Run, dropped_at: datetime, database: Database) -> RunReport:
    """The report of a run whose transcripts are gone, from its aggregates. Raises NightjarError where they are, too."""
    aggregates = await Aggregates.get(run.id)
    if aggregates is None or aggregates.version != VERSION:
        version = "cannot be read by this version of Nightjar" if aggregates is not None else "are not in MongoDB"
        raise NightjarError(f"The transcripts of run {run.name!r} were dropped, and its aggregates {version}.")
    report = await asyncio.to_thread(unpack, aggregates.data)
    by_id = await _sequences(run, await SuiteVersion.get(run.suite), database)
    sequences = tuple(by_id[name] for name in run.asked if name in by_id)
    return without_transcripts(replace(report, sequences=sequences), dropped_at)


async def gather(run: Run, database: Database) -> tuple[RunReport, RunScorers]:
    """The report without its verdict, and the scorers that made its scores.

    Raises UsageError for a run whose removal began meanwhile.
    """
    suite = await SuiteVersion.get(run.suite)
    by_id = await _sequences(run, suite, database)
    scorers = await read_run_sheet(run, by_id, database)
    jobs = await scored_jobs(scorers, _job_batches(run.id, database))
    await _check_still_whole(run, database)
    jobs.sort(key=lambda job: job.order)
    states = await last_beats(set().union(*workers_of(jobs).values()), database)
    energy = await energy_of_run(run.id)
    now = utc_now()
    report = await asyncio.to_thread(  # seconds of work for a large run: the event loop must go on
        assemble,
        provenance=provenance_of(run, suite),
        models=models_of(run, jobs, states, energy),
        sequences=[by_id[name] for name in run.asked if name in by_id],
        jobs=jobs,
        lines=scorers.planned.line_names(),
        scales=scorers.planned.scales(),
        scorer_versions=scorers.planned.versions(),
        now=now,
        version=NIGHTJAR_VERSION,
        waves=_waves(run),
    )
    report = with_left_out(report, () if suite is None else suite.left_out)
    report = with_answers(report, (await answers_named([run.id], database)).get(run.id, ()))
    report = await asyncio.to_thread(with_judging, report, scorers.bench)
    counts = {one.number: await count_verdicts(run, one, database) for one in not_complete(run.judging)}
    report = replace(
        report,
        costs=(*await _costs(run, database), *await _electricity(run, report, energy, database)),
        sequence_costs=await _sequence_costs(run, jobs, database),
    )
    report = await asyncio.to_thread(with_fidelity, report, await read_fidelity(run, database))
    report = replace(report, routes=candidate_shares(report.jobs))
    told = judging_notices(run.name, run.judging, counts)
    return replace(report, notices=(*told, *report.notices)), scorers


def _waves(run: Run) -> WavesReport | None:
    """None also where another judging counts than the one whose points were looked at: its pairs are tested as ever."""
    other = run.judging.shown not in (None, 1) and run.waves is not None and is_judges(run.waves.plan.metric)
    return None if run.waves is None or other else waves_report(run.waves)


async def _costs(run: Run, database: Database) -> tuple[ModelCost, ...]:
    spent = (await spending([run.id], database)).get(run.id, [])
    if not spent:
        return ()
    known = {model.name: model.facts.remote for model in (*run.models, *run.helpers) if model.facts is not None}
    prices: dict[str, tuple[Price | None, ...]] = {
        name: (remote.price,) for name, remote in known.items() if remote is not None
    }
    for model in run.models:
        if model.policy is not None:
            prices[model.name] = tuple(price for name in model.policy.candidates for price in prices.get(name, ()))
    done = {
        (each.model, each.kind): await census.done_as_asked(run.id, each.model, each.kind, database) for each in spent
    }
    return model_costs(spent, prices, done)


async def _sequence_costs(run: Run, jobs: Sequence[JobRow], database: Database) -> tuple[SequenceCost, ...]:
    spent = await job_spending(run.id, database)
    replies = {job.id: (job.sequence, job.contestant) for job in jobs} if spent else {}
    return sequence_costs(spent, replies, run.asked)


async def _electricity(
    run: Run, report: RunReport, parts: Sequence[RunEnergy], database: Database
) -> tuple[ModelCost, ...]:
    """Of local models, as far as somebody asks."""
    if not any(part.usd_per_kwh is not None for part in parts):
        return ()
    work = [
        LocalWork(
            model=model.name,
            kind=JobKind.REPLY,
            energy=model.input.energy,
            jobs=model.total.counts.jobs.get(JobStatus.DONE, 0),
            requests=model.total.counts.turns,
            prompt_tokens=model.total.counts.prompt_tokens,
            cached_tokens=model.total.counts.reused_tokens,
            reply_tokens=model.total.counts.reply_tokens,
        )
        for model in report.models
        if model.input.energy is not None
    ]
    for name, kind in sorted({(part.contestant, part.kind) for part in parts if part.kind is not JobKind.REPLY}):
        done = (await census.count(run.id, database, model=name, kind=(kind,))).of(JobStatus.DONE).jobs
        use = EnergyUse.of(part for part in parts if (part.contestant, part.kind) == (name, kind))
        work.append(LocalWork(model=name, kind=kind, energy=use, jobs=done, requests=done))
    return electricity_costs(work)


async def _check_still_whole(run: Run, database: Database) -> None:
    current = await Run.get(run.id)
    if current is not None:
        current.check_not_removing()


async def _sequences(run: Run, suite: SuiteVersion | None, database: Database) -> dict[str, PromptSequence]:
    """The run's sequences by id; from its jobs when the suite is gone."""
    if suite is not None:
        ids = [ref.document for ref in suite.sequences if ref.id in set(run.sequences)]
    else:
        ids = await database.jobs.distinct("sequence_document", {"run": run.id})
    documents = await SequenceDocument.find({"_id": {"$in": ids}}).to_list()
    return {document.sequence.id: document.sequence for document in documents}


async def _job_batches(run_id: str, database: Database) -> AsyncIterator[list[JobRow]]:
    """The reply jobs of a run, in any order: one pass, with a projection."""
    reader = RowReader()
    match = {"$match": {"run": run_id, "kind": JobKind.REPLY}}
    cursor = await database.jobs.aggregate([match, *PIPELINE_STAGES], batchSize=BATCH_JOBS)
    while batch := await cursor.to_list(BATCH_JOBS):
        yield [reader.job(raw) for raw in batch]
