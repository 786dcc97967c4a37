"""The process that scores replies: what a suite, or a scorer of the user's, does here can hang or end nothing else.

Its parent (`scoring.py`) sends a plan, which says what scores the turns of each sequence, then jobs. The answers come
back as plain tuples. Each piece of work has a deadline at which the kernel ends the process, also where the parent is
gone and also inside a library that never comes back to Python.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scores import JobScores, Score, ScoreState
from nightjar.pipeline.scoring.plugins import UserScorers, user_scorers
from nightjar.pipeline.scoring.turn_scorer import Lines, score_job, score_repeats, turn_lines
from nightjar.pipeline.transcripts import JobRow

PREPARE_S = 120.0
"""How long loading the scorers may take, at a machine that has other work."""
IDLE_S = 60.0
"""Without work for so long, the process ends."""
PackedScores = list[tuple[int, list[tuple[str, float | None, str, str | None, str | None, float | None]]]]


@dataclass(frozen=True, kw_only=True)
class ScoringPlan:
    """What scores the turns of each sequence, as data."""

    sequences: Mapping[str, PromptSequence]
    measures: Mapping[str, Any]
    references: tuple[str, ...]
    """The scorers that the setting names; those of installed packages are found."""
    phrases: tuple[str, ...]
    path: tuple[str, ...]
    """Where the parent's modules are found."""
    limit_s: float
    """How long scoring one job may take."""


@dataclass(frozen=True, kw_only=True)
class ScoreEach:
    """Each job by itself; every job has an answer of its own."""

    jobs: Sequence[JobRow]


@dataclass(frozen=True, kw_only=True)
class ScoreTogether:
    """All repeats of one sequence by one model, with the scores that need the others; one answer."""

    jobs: Sequence[JobRow]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The answer to a plan that this process cannot follow."""

    why: str


def score_for_parent(descriptor: int) -> None:
    """Answers the parent at the other end of the socket until it is gone, or has been silent for long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    gc.freeze()
    with Connection(descriptor) as parent:
        scoring: _Scoring | None = None
        while parent.poll(IDLE_S):
            try:
                message = parent.recv()
            except EOFError:
                return
            if isinstance(message, ScoringPlan):
                scoring = _planned(message, parent)
            elif scoring is not None:
                for answer in scoring.answers(message):
                    parent.send(answer)


class _Scoring:
    def __init__(self, plan: ScoringPlan, lines: Mapping[str, Lines]) -> None:
        self._plan = plan
        self._lines = lines

    def answers(self, message: ScoreEach | ScoreTogether) -> Iterator[Any]:
        if isinstance(message, ScoreTogether):
            signal.setitimer(signal.ITIMER_REAL, self._plan.limit_s)
            scores = score_repeats(message.jobs, self._lines, self._plan.sequences)
            signal.setitimer(signal.ITIMER_REAL, 0)
            yield {job: packed(found) for job, found in scores.items()}
            return
        for job in message.jobs:
            signal.setitimer(signal.ITIMER_REAL, self._plan.limit_s)
            scored = score_job(self._lines[job.sequence], self._plan.sequences[job.sequence], job)
            signal.setitimer(signal.ITIMER_REAL, 0)
            yield packed(scored)


def _planned(plan: ScoringPlan, parent: Connection) -> _Scoring | None:
    sys.path[:] = plan.path
    signal.setitimer(signal.ITIMER_REAL, PREPARE_S)
    try:
        own = _own_scorers(plan.references)
        lines = {
            name: turn_lines(sequence, measures=plan.measures, own=own, phrases=plan.phrases)
            for name, sequence in plan.sequences.items()
        }
    except Exception as error:
        parent.send(Refused(why=f"{type(error).__name__}: {error}"))
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    parent.send(versions(own))
    return _Scoring(plan, lines)


@lru_cache(maxsize=1)
def _own_scorers(references: tuple[str, ...]) -> UserScorers:
    return user_scorers(references)


def versions(own: UserScorers) -> dict[str, str]:
    """The user's scorers and checks with their versions."""
    checks = {check.name: check.version for check in own.checks.values()}
    return {scorer.name: scorer.version for scorer in own.scorers} | checks


def packed(scores: JobScores) -> PackedScores:
    """Scores as tuples: a tenth of the time to send."""
    return [
        (turn, [(name, s.value, s.state.value, s.answer, s.reason, s.weight) for name, s in named.items()])
        for turn, named in scores.items()
    ]


def unpacked(data: PackedScores) -> JobScores:
    """The scores again."""
    return {
        turn: {
            name: Score(value=value, state=_STATES[state], answer=answer, reason=reason, weight=weight)
            for name, value, state, answer, reason, weight in named
        }
        for turn, named in data
    }


_STATES = {state.value: state for state in ScoreState}
