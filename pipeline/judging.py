"""Which judge jobs a finished run needs. Pure: from transcripts and a rubric to jobs with deterministic ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.identity import digest
from jobs.sequences import Sequence as PromptSequence
from jobs.states import JobKind
from pipeline.scoring.judge_prompts import JudgedTurn, judge_sequence
from pipeline.scoring.rubric import Rubric, Scope


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
class JudgeJobSpec:
    """One judge on one text, all criteria."""

    id: str
    judge: str
    judged: JudgedJob
    turn: int | None
    """None where the scope is the conversation."""
    sequence: PromptSequence


def plan_judging(
    run: str, jobs: Sequence[JudgedJob], rubric: Rubric, judges: Sequence[str], *, self_judging: bool = False
) -> Iterator[JudgeJobSpec]:
    """The judge jobs of these transcripts. A judge is never given a text of its own unless `self_judging`."""
    for judge in judges:
        for job in jobs:
            if job.model == judge and not self_judging:
                continue
            for turn in _judged_turns(job, rubric):
                upto = _seen(job, turn)
                name = job.sequence if turn is None else f"{job.sequence}#{turn + 1}"
                yield JudgeJobSpec(
                    id=digest(run, JobKind.JUDGE, rubric.digest, judge, [t.chain for t in upto], job.id, turn),
                    judge=judge,
                    judged=job,
                    turn=turn,
                    sequence=judge_sequence(name, rubric, upto, system=job.system),
                )


def _judged_turns(job: JudgedJob, rubric: Rubric) -> list[int | None]:
    if rubric.scope is Scope.CONVERSATION:
        return [] if len(job.failures) == len(job.turns) else [None]
    return [turn.index for turn in job.turns if turn.index not in job.failures]


def _seen(job: JudgedJob, turn: int | None) -> Sequence[JudgedTurn]:
    if turn is None:
        return job.turns
    return job.turns[turn : turn + 1] if job.independent else job.turns[: turn + 1]
