"""Which judge jobs check the judges themselves: spoilt replies beside real ones, replies that ask for more. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightjar.jobs.identity import digest
from nightjar.pipeline.judging.injected import Injection, inject, poor_reply
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair, places
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.plan import ORDERS, JudgeJobSpec, pair_spec, prompt_digest, text_spec
from nightjar.pipeline.judging.rubric import Method, Rubric
from nightjar.pipeline.judging.spoilt import Control, spoil

Pick = tuple[JudgedJob, int | None]
"""A text to spoil: job and turn."""


def taken_sequences(sequences: Sequence[str], seed: int, most: int) -> list[str]:
    """The sequences of a check: at most `most` of them, drawn by the seed."""
    return sorted(sequences, key=lambda name: digest("check", seed, name))[:most]


def plan_checks(run: str, jobs: Sequence[JudgedJob], rubric: Rubric, panel: Panel, seed: int) -> Iterator[JudgeJobSpec]:
    """The jobs of a check over these transcripts: one text per judge and sequence, real and spoilt in each way.

    With points each text is judged on its own; with pairs the real text is compared with each spoilt one.
    """
    prompts = prompt_digest(rubric)
    for judge in panel.judges:
        picks = picked([job for job in jobs if judge in panel.seats(job.model)], rubric, seed)
        for at, (job, turn) in enumerate(picks):
            donor = picks[(at + 1) % len(picks)][0] if len(picks) > 1 else None
            yield from _injected(run, judge, (job, turn), rubric, prompts, seed, donor)
            if rubric.method is Method.POINTS:
                yield text_spec(run, judge, job, turn, rubric, prompts)
            for control in Control:
                spoilt = spoil(job, turn, control, seed, donor)
                if spoilt is None:
                    continue
                if rubric.method is Method.POINTS:
                    yield text_spec(run, judge, spoilt, turn, rubric, prompts, control=control.value)
                    continue
                pair = JudgedPair(first=job, second=spoilt, turn=turn)
                for order in ORDERS:
                    yield pair_spec(run, judge, pair, order, rubric, prompts, {"control": control.value})


def _injected(
    run: str, judge: str, pick: Pick, rubric: Rubric, prompts: str, seed: int, donor: JudgedJob | None
) -> Iterator[JudgeJobSpec]:
    """A poor reply with each kind of attempt in it; with pairs, the real reply against itself with the attempt."""
    job, turn = pick
    poor, control = poor_reply(job, turn, seed, donor)
    alone = {"control": control.value} if control else {}
    for injection in Injection:
        if rubric.method is Method.POINTS:
            base = text_spec(run, judge, poor, turn, rubric, prompts, **alone)
            more = {"control": injection.value, "base": base.id}
            yield text_spec(run, judge, inject(poor, turn, injection, rubric), turn, rubric, prompts, **more)
            continue
        for order in ORDERS:
            tried = inject(job, turn, injection, rubric, position=2 - order)
            pair = JudgedPair(first=job, second=tried, turn=turn)
            yield pair_spec(run, judge, pair, order, rubric, prompts, {"control": injection.value})


def picked(jobs: Sequence[JudgedJob], rubric: Rubric, seed: int) -> list[Pick]:
    """One text of each sequence, drawn by the seed, in the order of the sequences."""
    best: dict[str, tuple[str, Pick]] = {}
    for job in jobs:
        for turn in places(job, rubric):
            drawn = (digest("check", seed, job.id, turn), (job, turn))
            if job.sequence not in best or drawn[0] < best[job.sequence][0]:
                best[job.sequence] = drawn
    return [pick for _, pick in best.values()]
