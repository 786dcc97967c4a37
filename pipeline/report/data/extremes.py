"""The replies worth reading first: the longest, the best and the worst. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import JobRow, TurnRow

MOST = 6
AGAIN = 3
"""Penalty for a second reply of the same conversation; one of the same model or sequence costs 1."""


@dataclass(frozen=True, kw_only=True)
class Extreme:
    """A reply worth reading, and the value it was chosen for."""

    job: JobRow
    turn: TurnRow
    value: float


def longest(report: RunReport, most: int = MOST) -> tuple[Extreme, ...]:
    """The replies with the most tokens, longest first."""
    turns = heapq.nlargest(most, _turns(report), key=lambda pair: (pair[1].reply_tokens, -pair[0].order))
    return tuple(Extreme(job=job, turn=turn, value=float(turn.reply_tokens)) for job, turn in turns)


def worst(report: RunReport, most: int = MOST) -> tuple[Extreme, ...]:
    """The worst replies by the headline metric, worst first; empty if no metric has a better end.

    Among replies of equal value, those of other sequences and models are preferred.
    """
    return _furthest(report, most, best_first=False)


def finest(report: RunReport, most: int = MOST) -> tuple[Extreme, ...]:
    """The best replies, likewise."""
    return _furthest(report, most, best_first=True)


def _furthest(report: RunReport, most: int, *, best_first: bool) -> tuple[Extreme, ...]:
    """From one end of the scale; replies at the other end are left out."""
    name, scale = report.headline_of_parts, report.headline_scale
    if name is None or scale is None:
        return ()
    sign, other_end = (-scale.sign, scale.worst) if best_first else (scale.sign, scale.best)
    met: Counter[str] = Counter()
    candidates = []
    for job, turn in _turns(report):
        score = turn.scores.get(name)
        if score is None or score.value is None or score.value == other_end:
            continue
        again = met[job.contestant] + met[job.sequence] + AGAIN * met[job.id]
        met.update((job.contestant, job.sequence, job.id))
        candidates.append(((sign * score.value, again, job.order, turn.index), job, turn, score.value))
    chosen = heapq.nsmallest(most, candidates, key=lambda candidate: candidate[0])
    return tuple(Extreme(job=job, turn=turn, value=value) for _, job, turn, value in chosen)


def _turns(report: RunReport) -> Iterator[tuple[JobRow, TurnRow]]:
    return ((job, turn) for job in report.jobs for turn in job.turns)
