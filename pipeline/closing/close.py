"""What becomes of a run that has ended: scores, verdict, night and files. Closing again stores the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from beanie.odm.utils.encoder import Encoder

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import GateVerdict
from nightjar.jobs.mongo import Database, Row, utc_now
from nightjar.jobs.states import TERMINAL_RUNS, RunStatus
from nightjar.pipeline.collect.collector import find, gather
from nightjar.pipeline.collect.gc_paused import gc_paused
from nightjar.pipeline.collect.score_store import store_scores
from nightjar.pipeline.compare.baseline import changed_since, try_baseline
from nightjar.pipeline.compare.verdict import final_verdict
from nightjar.pipeline.exports.write import write_exports
from nightjar.pipeline.nights.night_store import store_night
from nightjar.pipeline.report.data.answer import answer, end_scores
from nightjar.pipeline.report.data.notices import with_verdict
from nightjar.pipeline.report.data.run_report import RunReport

_log = structlog.get_logger()


async def close_run(run: Run | str, database: Database, reports_dir: Path) -> list[Path]:
    """Stores scores and gates' verdict of a run that has ended and writes its report; the paths. May be called again.

    A run that still works has all its work done: it is about to be DONE. Raises OutputError when the folder cannot be
    written; scores and verdict are stored by then.
    """
    current = await find(run if isinstance(run, str) else run.id, database)
    if current.status not in TERMINAL_RUNS:
        finished_at = current.outcome.finished_at if current.only_checked else utc_now()
        ending = current.outcome.model_copy(update={"finished_at": finished_at})
        current = current.model_copy(update={"status": RunStatus.DONE, "outcome": ending})
    with gc_paused():
        report, scorers = await gather(current, database)
        # Not stored beside the writing: the two threads would slow each other down.
        stored = await store_scores(report, scorers, database)
        base = await try_baseline(current, database)
        verdict = final_verdict(report, current, base)
        await _store_verdict(report, verdict, current, database)
        final = await changed_since(with_verdict(report, verdict), base)
        await store_night(final, database)
        paths = await _write_files(final, current, reports_dir, database)
    outcome = verdict.outcome if verdict is not None else None
    _log.info("report_written", run=current.id, scores=stored, gates=outcome, paths=[str(path) for path in paths])
    return paths


async def _store_verdict(report: RunReport, verdict: GateVerdict | None, run: Run, database: Database) -> None:
    encoded = Encoder(to_db=True).encode(verdict) if verdict is not None else None
    scores = [score.model_dump() for score in end_scores(report)]
    values: Row = {"verdict": encoded, "answer": answer(report), "scores": scores, "files": []}
    await _set_outcome(values, run, database)


async def _set_outcome(values: Row, run: Run, database: Database) -> None:
    """Of the run, and of the judging that it comes by."""
    places = ["outcome"]
    if (judging := run.judging.current) is not None:
        places.append(f"judging.passes.{judging.number - 1}")
    change = {f"{place}.{name}": value for place in places for name, value in values.items()}
    await database.runs.update_one({"_id": run.id}, {"$set": change})


async def _write_files(report: RunReport, run: Run, folder: Path, database: Database) -> list[Path]:
    def left_out(form: str, error: UsageError) -> None:  # nobody is there to choose another format
        _log.warning("export_not_written", run=run.id, format=form, why=str(error))

    paths = await asyncio.to_thread(write_exports, report, run.ending.formats, folder, left_out=left_out)
    await _set_outcome({"files": [str(path) for path in paths]}, run, database)
    return paths
