"""Which judge jobs a run needs. Pure: from transcripts and a rubric to jobs with deterministic ids.

One job holds all criteria of one text, or of one pair in one order, so that their shared prefix is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind
from nightjar.pipeline.judging.borders import draw_word
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair, places, seen
from nightjar.pipeline.judging.pair_prompts import pair_sequence
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import JudgedTurn, judge_sequence
from nightjar.pipeline.judging.rubric import Method, Rubric

ORDERS = (0, 1)
"""0: in the pair's own order; 1: its second text first."""


@dataclass(frozen=True, kw_only=True)
class JudgeJobSpec:
    """One judge, one text (or one pair in one order), all criteria."""

    id: str
    judge: str
    judged: JudgedJob
    turn: int | None
    """None if the scope is the conversation."""
    sequence: PromptSequence
    more: Mapping[str, Any] = field(default_factory=dict)
    """Added to the job's payload: `other` and `order` for a pair, `control` for a spoilt text."""


def prompt_digest(rubric: Rubric) -> str:
    """Digest of everything that judges read, computed from the prompts of a fixed sample: any word changes it."""
    turns = tuple(JudgedTurn(index=at, prompt="A", reply="B", chain="", reference="C") for at in range(2))
    made = judge_sequence if rubric.method is Method.POINTS else _sample_pair
    return digest("judge prompt", made("sample", rubric, turns, system="D", word="border").digest)


def plan_judging(run: str, jobs: Sequence[JudgedJob], rubric: Rubric, panel: Panel) -> Iterator[JudgeJobSpec]:
    """The judge jobs of these transcripts, each text on its own."""
    prompts = prompt_digest(rubric)
    for judge in panel.judges:
        for job in jobs:
            if judge in panel.seats(job.model):
                for turn in places(job, rubric):
                    yield text_spec(run, judge, job, turn, rubric, prompts)


def plan_pairs(run: str, pairs: Sequence[JudgedPair], rubric: Rubric, panel: Panel) -> Iterator[JudgeJobSpec]:
    """The judge jobs of these pairs, each in both orders."""
    prompts = prompt_digest(rubric)
    for judge in panel.judges:
        for pair in pairs:
            if pair.decided is None and judge in panel.seats(pair.first.model, pair.second.model):
                for order in ORDERS:
                    yield pair_spec(run, judge, pair, order, rubric, prompts, {"other": pair.second.id})


def text_spec(
    run: str, judge: str, job: JudgedJob, turn: int | None, rubric: Rubric, prompts: str, **more: Any
) -> JudgeJobSpec:
    """One judge on one text. `prompts`: the rubric's `prompt_digest`; `more` goes into payload and id."""
    upto = seen(job, turn)
    return JudgeJobSpec(
        id=digest(run, JobKind.JUDGE, prompts, judge, [t.chain for t in upto], job.id, turn, more),
        judge=judge,
        judged=job,
        turn=turn,
        sequence=judge_sequence(_name(job, turn), rubric, upto, system=job.system, word=_word(job)),
        more=more,
    )


def pair_spec(
    run: str, judge: str, pair: JudgedPair, order: int, rubric: Rubric, prompts: str, mark: Mapping[str, Any]
) -> JudgeJobSpec:
    """One judge on one pair in one order; `mark` goes into the payload and the id."""
    texts = [seen(job, pair.turn) for job in (pair.first, pair.second)]
    chains = [[turn.chain for turn in text] for text in texts]
    first, second = texts if order == 0 else reversed(texts)
    more = {**mark, "order": order}
    ids = [pair.first.id, pair.second.id]
    return JudgeJobSpec(
        id=digest(run, JobKind.JUDGE, prompts, judge, chains, ids, pair.turn, more),
        judge=judge,
        judged=pair.first,
        turn=pair.turn,
        sequence=pair_sequence(
            _name(pair.first, pair.turn),
            rubric,
            first,
            second,
            system=pair.first.system,
            word=_word(pair.first, pair.second),
        ),
        more=more,
    )


def _word(*jobs: JudgedJob) -> str:
    """The word in the borders of these conversations, the same for each of their turns."""
    texts = (text for job in jobs for turn in job.turns for text in (turn.prompt, turn.reply, turn.reference or ""))
    return draw_word([job.turns[-1].chain for job in jobs], [*texts, *(job.system or "" for job in jobs)])


def _name(job: JudgedJob, turn: int | None) -> str:
    return job.sequence if turn is None else f"{job.sequence}#{turn + 1}"


def _sample_pair(
    name: str, rubric: Rubric, turns: Sequence[JudgedTurn], *, system: str | None = None, word: str = ""
) -> PromptSequence:
    other = tuple(JudgedTurn(index=turn.index, prompt="A", reply="E", chain="") for turn in turns)
    return pair_sequence(name, rubric, turns, other, system=system, word=word)
