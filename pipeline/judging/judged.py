"""What is judged: finished replies, and pairs of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Reference, Rubric, Scope

JudgedAt = tuple[str, int | None]
"""Judged job and turn; None for the whole conversation."""


@dataclass(frozen=True, kw_only=True)
class JudgedJob:
    """A DONE reply job. `turns` holds every committed turn; `failures` says which replies need no judge, and why."""

    id: str
    model: str
    sequence: str
    repeat: int
    tags: tuple[str, ...]
    turns: tuple[JudgedTurn, ...]
    system: str | None = None
    independent: bool = False
    """Each turn was a conversation of its own: a reply is judged without the turns before it."""
    failures: frozenset[int] = frozenset()
    """Turns whose reply is empty or degenerate: they get the worst value without being asked about."""


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """Two replies to the same prompt, or two conversations. `decided`: what needs no judge, and then why."""

    first: JudgedJob
    second: JudgedJob
    turn: int | None
    """None where the scope is the conversation."""
    decided: tuple[float, str] | None = None
    """Points of the first: 1 it wins, 0.5 neither, 0 the second wins; and the reason."""


def judged_pairs(firsts: Sequence[JudgedJob], seconds: Sequence[JudgedJob], rubric: Rubric) -> Iterator[JudgedPair]:
    """Every text of the firsts with every one of the seconds; jobs of one prompt and repeat.

    A failed reply loses against one that is none, and equal texts are a tie: neither needs a judge.
    """
    for first in firsts:
        for second in seconds:
            for turn in _all_places(first, rubric):
                if turn is None or any(other.index == turn for other in second.turns):
                    yield JudgedPair(first=first, second=second, turn=turn, decided=_decided(first, second, turn))


def places(job: JudgedJob, rubric: Rubric) -> list[int | None]:
    """The turns of a job that a judge is asked about; None stands for the conversation."""
    if rubric.scope is Scope.CONVERSATION:
        return [] if _failed(job, None) else [None]
    return [turn for turn in _all_places(job, rubric) if not _failed(job, turn)]


def seen(job: JudgedJob, turn: int | None) -> Sequence[JudgedTurn]:
    """What a judge is shown of a job to judge this turn."""
    if turn is None:
        return job.turns
    at = next(at for at, one in enumerate(job.turns) if one.index == turn)
    return job.turns[at : at + 1] if job.independent else job.turns[: at + 1]


def _all_places(job: JudgedJob, rubric: Rubric) -> list[int | None]:
    if rubric.scope is Scope.CONVERSATION:
        return [None] if job.turns else []
    needs = rubric.reference is Reference.REQUIRED
    return [turn.index for turn in job.turns if turn.reference is not None or not needs]


def _failed(job: JudgedJob, turn: int | None) -> bool:
    return len(job.failures) == len(job.turns) if turn is None else turn in job.failures


def _decided(first: JudgedJob, second: JudgedJob, turn: int | None) -> tuple[float, str] | None:
    lost = _failed(first, turn), _failed(second, turn)
    if any(lost):
        return 0.5 + (lost[1] - lost[0]) / 2, "both replies failed" if all(lost) else "the other's reply failed"
    if [one.chain for one in seen(first, turn)] == [one.chain for one in seen(second, turn)]:
        return 0.5, "the texts are the same"
    return None
