"""What is judged: finished replies, and pairs of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.jobs.variants import contestant_name
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Reference, Rubric, Scope

JudgedAt = tuple[str, int | None]
"""Judged job and turn; turn None stands for the whole conversation."""


@dataclass(frozen=True, kw_only=True)
class JudgedJob:
    """A DONE reply job. `turns` holds every committed turn; `failures` says which replies need no judge."""

    id: str
    model: str
    sequence: str
    repeat: int
    tags: tuple[str, ...]
    turns: tuple[JudgedTurn, ...]
    system: str | None = None
    independent: bool = False
    """Each turn was a separate conversation: a reply is judged without the turns before it."""
    failures: frozenset[int] = frozenset()
    """Turns whose reply is empty, degenerate or the one before it again: the worst value, without asking a judge."""
    variant: str | None = None

    @property
    def contestant(self) -> str:
        """What reports call what replied. Who may judge it is a question of the model alone."""
        return contestant_name(self.model, self.variant)


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """Two replies to the same prompt, or two conversations. `decided`: set if the pair needs no judge."""

    first: JudgedJob
    second: JudgedJob
    turn: int | None
    """None if the scope is the conversation."""
    decided: tuple[float, str] | None = None
    """Points of the first (1: it wins, 0.5: a tie, 0: the second wins), and the reason."""


def judged_pairs(firsts: Sequence[JudgedJob], seconds: Sequence[JudgedJob], rubric: Rubric) -> Iterator[JudgedPair]:
    """Every text of the firsts with every text of the seconds. All jobs are of the same prompt and repeat.

    A failed reply loses against one that did not fail, and equal texts are a tie: neither needs a judge.
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
    """The turns that a judge is shown in order to judge this one."""
    if turn is None:
        return job.turns
    at = next(at for at, judged in enumerate(job.turns) if judged.index == turn)
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
    if [judged.chain for judged in seen(first, turn)] == [judged.chain for judged in seen(second, turn)]:
        return 0.5, "the texts are the same"
    return None
