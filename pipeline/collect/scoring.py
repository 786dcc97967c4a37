"""Scores the jobs of a run in a child process with a deadline a job, while the next ones are read.

A job whose scoring ends the process is tried once more; one that takes too long is not. It then has failed scores,
with the reason. When that happens to several jobs of a run, the run as a whole cannot be scored: ScoringError.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from nightjar.config.counting import how_many
from nightjar.config.errors import ScoringError
from nightjar.pipeline.collect.planned_scorers import PlannedScorers
from nightjar.pipeline.collect.run_scorers import RunScorers
from nightjar.pipeline.collect.scoring_child import (
    PREPARE_S,
    Refused,
    ScoreEach,
    ScoreTogether,
    ScoringPlan,
    unpacked,
    versions,
)
from nightjar.pipeline.collect.scoring_process import LANES, ScoringProcess, ScoringProcessDied, borrow, keep_warm
from nightjar.pipeline.scores import JobScores, Score, ScoreState
from nightjar.pipeline.scoring.installed import installed_references, scoring_limit_s
from nightjar.pipeline.scoring.turn_scorer import CHECKS_METRIC
from nightjar.pipeline.transcripts import JobRow

MAX_LOST = 3
"""Jobs of a run that may stay without scores; with one more the run cannot be scored."""
NOT_SCORED = "not scored: "
"""The beginning of such a score's reason. It is not stored: next time it may work."""
_THREADS = ThreadPoolExecutor(LANES, thread_name_prefix="scoring")
_log = structlog.get_logger()


async def scored_jobs(scorers: RunScorers, batches: AsyncIterable[list[JobRow]]) -> list[JobRow]:
    """All jobs of a run with their scores, in any order. Raises ScoringError."""
    scoring = _RunScoring(scorers.planned)
    loop = asyncio.get_running_loop()
    jobs: list[JobRow] = []
    under_way: asyncio.Future[list[JobRow]] | None = None
    try:
        async for batch in batches:
            if under_way is not None:
                jobs += await under_way
            under_way = loop.run_in_executor(_THREADS, _scored, scoring, scorers, batch)
        if under_way is not None:
            jobs += await under_way
        if any(scorer.across for turns in scorers.lines.values() for turn in turns for scorer in turn):
            jobs = await loop.run_in_executor(_THREADS, _scored_together, scoring, scorers, jobs)
        return jobs
    finally:
        scoring.close()


def _scored(scoring: _RunScoring, scorers: RunScorers, jobs: Sequence[JobRow]) -> list[JobRow]:
    return [scorers.with_scores(job, found) for job, found in zip(jobs, scoring.each(jobs), strict=True)]


def _scored_together(scoring: _RunScoring, scorers: RunScorers, jobs: Sequence[JobRow]) -> list[JobRow]:
    groups: dict[tuple[str, str], list[JobRow]] = {}
    for job in jobs:
        if any(scorer.across for turn in scorers.lines[job.sequence] for scorer in turn):
            groups.setdefault((job.contestant, job.sequence), []).append(job)
    scores: dict[str, JobScores] = {}
    for group in groups.values():
        scores |= scoring.together(group)
    return [job.scored(scores[job.id]) if job.id in scores else job for job in jobs]


class _RunScoring:
    """One run's child process: started when there is work, and again after it died. For one thread at a time."""

    def __init__(self, planned: PlannedScorers) -> None:
        self._planned = planned
        self._limit_s = scoring_limit_s()
        self._child: ScoringProcess | None = None
        self._retried: set[str] = set()
        self._lost = 0
        self._in_work = False
        self._closed = False

    def each(self, jobs: Sequence[JobRow]) -> list[JobScores]:
        """The scores that each job has by itself."""
        scores: list[JobScores] = []
        while rest := jobs[len(scores) :]:
            try:
                child = self._started()
                self._in_work = True
                child.send(ScoreEach(jobs=rest))
                for _ in rest:
                    scores.append(unpacked(child.receive(self._limit_s)))
                self._in_work = False
            except ScoringProcessDied as died:
                guilty = jobs[len(scores)]
                if self._is_lost([guilty], died, guilty.id):
                    scores.append(self._failed(guilty, died, across=False))
        return scores

    def together(self, jobs: Sequence[JobRow]) -> dict[str, JobScores]:
        """Job -> the scores that need the others."""
        while True:
            try:
                child = self._started()
                self._in_work = True
                child.send(ScoreTogether(jobs=jobs))
                found = child.receive(self._limit_s)
                self._in_work = False
                return {job: unpacked(scores) for job, scores in found.items()}
            except ScoringProcessDied as died:
                if self._is_lost(jobs, died, f"repeats of {jobs[0].id}"):
                    return {job.id: self._failed(job, died, across=True) for job in jobs}

    def close(self) -> None:
        """Keeps the child for other runs, or ends it inside its work."""
        self._closed = True
        child = self._child
        if child is not None and self._in_work:
            child.end()  # whoever waits for its answer closes it
        elif child is not None:
            keep_warm(child)

    def _started(self) -> ScoringProcess:
        if self._closed:
            raise ScoringError("it was interrupted")
        if self._child is not None:
            return self._child
        warm = borrow()
        try:
            self._child = self._with_plan(warm or ScoringProcess(), warm=warm is not None)
        except ScoringProcessDied as died:
            if warm is None:
                raise ScoringError(f"the scorers cannot be prepared: {died}") from None
            return self._started()
        return self._child

    def _with_plan(self, process: ScoringProcess, *, warm: bool) -> ScoringProcess:
        plan = ScoringPlan(
            sequences=self._planned.sequences,
            measures=self._planned.measures,
            references=installed_references(),
            phrases=tuple(self._planned.phrases),
            path=tuple(filter(None, sys.path)),
            limit_s=self._limit_s,
        )
        process.send(plan)
        answer = process.receive(PREPARE_S)
        if not isinstance(answer, Refused) and answer == versions(self._planned.own):
            return process
        process.close()
        if isinstance(answer, Refused):
            raise ScoringError(f"the scorers cannot be prepared: {answer.why}")
        if warm:  # it has loaded others
            raise ScoringProcessDied("its scorers are old")
        raise ScoringError("a scorer of yours has been changed since this process began: start it again")

    def _is_lost(self, jobs: Sequence[JobRow], died: ScoringProcessDied, what: str) -> bool:
        """Whether these jobs stay without scores; else they are tried once more. Raises ScoringError after too many."""
        child, self._child = self._child, None
        self._in_work = False
        if child is not None:
            child.close()
        if self._closed:
            raise ScoringError("it was interrupted")
        _log.warning("scoring_process_died", job=jobs[0].id, sequence=jobs[0].sequence, what=what, why=_why(died))
        if not died.late and what not in self._retried:
            self._retried.add(what)
            return False
        self._lost += 1
        if self._lost > MAX_LOST:
            raise ScoringError(
                f"scoring failed on {how_many(self._lost, 'job')}; on the last, "
                f"sequence {jobs[0].sequence} of {jobs[0].model}, {_why(died)}"
            )
        return True

    def _failed(self, job: JobRow, died: ScoringProcessDied, *, across: bool) -> JobScores:
        score = Score(value=None, state=ScoreState.FAILED, reason=f"{NOT_SCORED}{_why(died)}")
        by_turn = self._planned.lines[job.sequence]
        scores: JobScores = {}
        for turn in job.turns:
            here = [scorer for scorer in by_turn[turn.index] if scorer.across is across]
            share = [CHECKS_METRIC] if any(scorer.check for scorer in here) else []
            scores[turn.index] = dict.fromkeys([*share, *(scorer.name for scorer in here)], score)
        return scores


def _why(died: ScoringProcessDied) -> str:
    return f"{died} (scoring_timeout_s)" if died.late else str(died)
