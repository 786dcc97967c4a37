"""Transcripts -> scores -> report. Collecting writes nothing; closing a run stores both, again and again alike."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from beanie.odm.utils.encoder import Encoder

from config.errors import NightjarError, UnknownNameError
from jobs.database import Database
from jobs.documents import Run, SequenceDocument, SuiteVersion, utc_now
from jobs.ending import GateVerdict
from jobs.nights import Aggregates
from jobs.sequences import Sequence as PromptSequence
from jobs.states import TERMINAL_RUNS, JobKind, RunStatus
from pipeline.aggregates import VERSION, unpack, without_transcripts
from pipeline.heap import no_cycles_sought
from pipeline.report.answer import answer
from pipeline.report.assemble import assemble
from pipeline.report.data import RunReport
from pipeline.report.inputs import models_of, provenance_of, workers_of
from pipeline.report.judge_findings import with_judging
from pipeline.run_sheet import RunSheet, read_run_sheet
from pipeline.score_store import store_scores
from pipeline.transcripts import PIPELINE_STAGES, JobRow, RowReader
from pipeline.verdict import final_verdict, with_verdict

_log = structlog.get_logger()

BATCH_JOBS = 100


async def collect(run_id: str, database: Database) -> RunReport:
    """The report of a run as it is now, finished or not. Writes nothing. Raises UnknownNameError."""
    run = await _run(run_id, database)
    if run.transcripts_dropped_at is not None:
        return await _kept(run, run.transcripts_dropped_at, database)
    with no_cycles_sought():
        report, _ = await _gather(run, database)
    return with_verdict(report, run.verdict if run.status in TERMINAL_RUNS else None)


async def _run(run_id: str, database: Database) -> Run:
    run = await Run.get(run_id)
    if run is None:
        raise UnknownNameError("run", run_id, await database.runs.distinct("name"))
    return run


async def _kept(run: Run, dropped_at: datetime, database: Database) -> RunReport:
    """The report of a run whose transcripts are gone, from its aggregates. Raises NightjarError where those are too."""
    found = await Aggregates.get(run.id)
    if found is None or found.version != VERSION:
        version = "cannot be read by this version of Nightjar" if found is not None else "are not in MongoDB"
        raise NightjarError(f"The transcripts of run {run.name!r} were dropped, and its aggregates {version}.")
    report = await asyncio.to_thread(unpack, found.data)
    by_id = await _sequences(run, await SuiteVersion.get(run.suite), database)
    sequences = tuple(by_id[name] for name in run.sequences if name in by_id)
    return without_transcripts(replace(report, sequences=sequences), dropped_at)


async def _gather(run: Run, database: Database) -> tuple[RunReport, RunSheet]:
    suite = await SuiteVersion.get(run.suite)
    by_id = await _sequences(run, suite, database)
    sheet = await read_run_sheet(run, by_id, database)
    jobs: list[JobRow] = []
    async for batch in _job_batches(run.id, database):
        await asyncio.to_thread(sheet.score, batch)
        jobs += batch
    await asyncio.to_thread(sheet.score_together, jobs)
    jobs.sort(key=lambda job: job.order)
    states = await _workers(set().union(*workers_of(jobs).values()), database)
    now = utc_now()
    report = await asyncio.to_thread(  # seconds of work for a large run: the event loop must go on
        assemble,
        provenance=provenance_of(run, suite),
        models=models_of(run, jobs, states),
        sequences=[by_id[name] for name in run.sequences if name in by_id],
        jobs=jobs,
        lines=sheet.line_names(),
        scales=sheet.scales(),
        now=now,
        version=importlib.metadata.version("nightjar"),
    )
    return await asyncio.to_thread(with_judging, report, sheet.bench), sheet


async def close_run(run: Run | str, database: Database, reports_dir: Path | None = None) -> list[Path]:
    """Stores scores and gates' verdict of a run that has ended and writes its report; the paths. May be called again.

    A run that still works has all its work done: it is about to be DONE. Raises OutputError when the folder cannot be
    written; scores and verdict are stored by then.
    """
    current = await _run(run if isinstance(run, str) else run.id, database)
    if current.status not in TERMINAL_RUNS:
        current = current.model_copy(update={"status": RunStatus.DONE, "finished_at": utc_now()})
    with no_cycles_sought():
        report, sheet = await _gather(current, database)
        # Not stored beside the writing: the two threads would slow each other down.
        stored = await store_scores(report, sheet, database)
        verdict = await final_verdict(report, current, database)
        paths = await _write(report, verdict, current, database, reports_dir)
    outcome = verdict.outcome if verdict is not None else None
    _log.info("report_written", run=current.id, scores=stored, gates=outcome, paths=[str(path) for path in paths])
    return paths


async def _write(
    report: RunReport, verdict: GateVerdict | None, run: Run, database: Database, reports_dir: Path | None
) -> list[Path]:
    """Stores the verdict and the night, and writes the run's files."""
    from config.settings import load_settings
    from pipeline.baseline import since_baseline
    from pipeline.night_store import store_night
    from pipeline.report.write import write

    kept = Encoder(to_db=True).encode(verdict) if verdict is not None else None
    said = answer(report)
    await database.runs.update_one({"_id": run.id}, {"$set": {"verdict": kept, "answer": said, "files": []}})
    told = await since_baseline(with_verdict(report, verdict), run, database)
    await store_night(told, database)
    folder = reports_dir or load_settings().reports_dir
    paths = await asyncio.to_thread(write, told, run.ending.formats, folder)
    await database.runs.update_one({"_id": run.id}, {"$set": {"files": [str(path) for path in paths]}})
    return paths


async def _sequences(run: Run, suite: SuiteVersion | None, database: Database) -> dict[str, PromptSequence]:
    """The run's sequences by id; from its jobs when the suite is gone."""
    if suite is not None:
        ids = [ref.document for ref in suite.sequences if ref.id in set(run.sequences)]
    else:
        ids = await database.jobs.distinct("sequence_document", {"run": run.id})
    found = await SequenceDocument.find({"_id": {"$in": ids}}).to_list()
    return {document.sequence.id: document.sequence for document in found}


async def _job_batches(run_id: str, database: Database) -> AsyncIterator[list[JobRow]]:
    """The reply jobs of a run as they come: one pass, with a projection."""
    reader = RowReader()
    match = {"$match": {"run": run_id, "kind": JobKind.REPLY}}
    cursor = await database.jobs.aggregate([match, *PIPELINE_STAGES], batchSize=BATCH_JOBS)
    while batch := await cursor.to_list(BATCH_JOBS):
        yield [reader.job(raw) for raw in batch]


async def _workers(ids: Iterable[str], database: Database) -> dict[str, Mapping[str, Any]]:
    """The newest beat of each worker, whether it still runs or has ended."""
    wanted = {"_id": {"$in": sorted(ids)}}
    ended = {raw["_id"]: raw async for raw in database.worker_records.find(wanted)}
    return ended | {raw["_id"]: raw async for raw in database.workers.find(wanted)}
