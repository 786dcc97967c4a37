"""Scores as documents: one for each job, turn and scorer, however often a run is closed.

A score that depends only on a committed turn and a scorer's version never changes: it is inserted where absent.
Judges' scores, similarities and scores that compare repeats may come later or change: they are replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

from nightjar.jobs.identity import score_id
from nightjar.jobs.mongo import AsyncCollection, Database, ReplaceOne, Row, WriteConcern, insert_absent
from nightjar.pipeline.collect.run_scorers import RunScorers
from nightjar.pipeline.collect.scoring import NOT_SCORED
from nightjar.pipeline.embedding.similarities import SCALES
from nightjar.pipeline.judging.verdicts import is_judges
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Score
from nightjar.pipeline.transcripts import JobRow

BATCH_SCORES = 2000
IN_FLIGHT = 3
"""Batches under way at once: the next is made while MongoDB writes the others."""


async def store_scores(report: RunReport, scorers: RunScorers, database: Database) -> int:
    """Stores every score of a report and removes those of other scorer versions or models.

    Judges' scores of other judgings stay. Returns the number of scores written.
    """
    scores = unjournaled(database)
    run = report.provenance.id
    lasting = {
        scorer.digest for turns in scorers.lines.values() for turn in turns for scorer in turn if not scorer.across
    }
    others = {"run": run, "judging": {"$in": [None, report.provenance.judging]}}
    await scores.delete_many({**others, "scorer_digest": {"$nin": sorted(lasting | _passing(scorers))}})
    written = await _insert_lasting(report, scorers, lasting, database)
    batch: list[ReplaceOne[Any]] = []
    for job in report.jobs:
        rows = _changing(run, job, scorers, report.provenance.judging)
        batch += [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        if len(batch) >= BATCH_SCORES:
            written += len(batch)
            await scores.bulk_write(batch, ordered=False)
            batch = []
    if batch:
        await scores.bulk_write(batch, ordered=False)
    return written + len(batch)


def unjournaled(database: Database) -> AsyncCollection[Row]:
    """The collection, without waiting for the disk: what a power cut loses, closing the run again restores."""
    return database.raw.get_collection("scores", write_concern=WriteConcern(w=1, j=False))


async def _insert_lasting(report: RunReport, scorers: RunScorers, digests: set[str], database: Database) -> int:
    scores = unjournaled(database)
    run = report.provenance.id
    sizes = {
        name: [sum(not scorer.across for scorer in turn) for turn in turns] for name, turns in scorers.lines.items()
    }
    wanted = sum(sizes[job.sequence][turn.index] for job in report.jobs for turn in job.turns)
    if await scores.count_documents({"run": run, "scorer_digest": {"$in": sorted(digests)}}) == wanted:
        return 0
    rows = (row for job in report.jobs for row in _lasting(run, job, scorers))
    written = 0

    async def insert() -> None:
        nonlocal written
        while batch := list(islice(rows, BATCH_SCORES)):
            new = await insert_absent(scores, batch)
            written += new

    await asyncio.gather(*(insert() for _ in range(IN_FLIGHT)))
    return written


def _passing(scorers: RunScorers) -> set[str]:
    """Digests of the scores that are replaced each time."""
    across = {scorer.digest for turns in scorers.lines.values() for turn in turns for scorer in turn if scorer.across}
    given = {scorers.similarities.digest, scorers.bench.score_digest}
    return across | {digest for digest in given if digest is not None}


def _lasting(run: str, job: JobRow, scorers: RunScorers) -> Iterator[dict[str, Any]]:
    by_turn = scorers.lines[job.sequence]
    for turn in job.turns:
        for scorer in by_turn[turn.index]:
            if scorer.across or (score := turn.scores.get(scorer.name)) is None:
                continue
            if not (score.reason or "").startswith(NOT_SCORED):
                yield _row(run, job.id, turn.index, scorer.name, score, scorer.digest)


def _changing(run: str, job: JobRow, scorers: RunScorers, judging: int | None) -> Iterator[dict[str, Any]]:
    by_turn = scorers.lines[job.sequence]
    for turn in job.turns:
        digests = {scorer.name: scorer.digest for scorer in by_turn[turn.index] if scorer.across}
        digests |= dict.fromkeys(SCALES, scorers.similarities.digest)
        if scorers.bench.score_digest is not None:
            digests |= dict.fromkeys(filter(is_judges, turn.scores), scorers.bench.score_digest)
        for name, made_by in digests.items():
            if (score := turn.scores.get(name)) is not None:
                number = judging if is_judges(name) else None
                yield _row(run, job.id, turn.index, name, score, made_by, number)


def _row(
    run: str, job: str, turn: int, scorer: str, score: Score, made_by: str, judging: int | None = None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "_id": score_id(job, turn, scorer, judging),
        "run": run,
        "job": job,
        "turn": turn,
        "scorer": scorer,
        "value": score.value,
        "state": score.state.value,
        "answer": score.answer,
        "reason": score.reason,
        "scorer_digest": made_by,
    }
    return row if judging is None else row | {"judging": judging}
