"""Choices between two replies as outcomes and scores. Pure.

A judge's answers in both orders must agree; if they do not, it is a tie. A turn's score is the share of its comparisons
that it won, ties counting half: metrics `judge` and `judge.<criterion>`, as with points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import fmean

from nightjar.pipeline.judging.judged import JudgedPair
from nightjar.pipeline.judging.pair_prompts import PairChoice, Shown
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.rubric import Rubric
from nightjar.pipeline.judging.verdicts import NO_REFERENCE, NO_SEAT, composed, judged_turns
from nightjar.pipeline.scores import JobScores, Score, ScoreState, unscored
from nightjar.pipeline.transcripts import JobRow

ALONE = "there is no other reply to compare it with"


class PairOutcome(Enum):
    """The outcome for a pair's first text; the value is its points."""

    WON = 1.0
    TIED = 0.5
    LOST = 0.0

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """One judge's view of one pair by one criterion: its outcome in each order, None if it could not be read."""

    criterion: str
    orders: tuple[PairOutcome | None, PairOutcome | None]
    reasons: tuple[str, str]
    first_shown: tuple[bool | None, bool | None] = (None, None)
    """For each order, whether it chose the reply shown first; None for a tie or no choice."""

    @property
    def outcome(self) -> PairOutcome | None:
        """The outcome of both orders: a tie if they disagree, None if one is missing."""
        first, second = self.orders
        if first is None or second is None:
            return None
        return first if first is second else PairOutcome.TIED

    @property
    def flipped(self) -> bool | None:
        """Whether the order changed the answer; None if one is missing."""
        return None if None in self.orders else self.orders[0] is not self.orders[1]

    @property
    def missing_reason(self) -> str:
        """Why the first missing outcome is missing; "" if none is."""
        return next((reason for outcome, reason in zip(self.orders, self.reasons, strict=True) if outcome is None), "")


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """What the judges said about a pair."""

    pair: JudgedPair
    names: tuple[str, str]
    """What reports call the two: the contestant, and for a baseline run RUN:CONTESTANT."""
    opinions: Mapping[str, Sequence[Opinion]] = field(default_factory=dict)
    """Judge -> one opinion per criterion."""

    def points(self, criterion: str, judges: Sequence[str]) -> tuple[float | None, str]:
        """Points of the first by a criterion, the mean over the judges, and the reason; None if any judge has none."""
        if self.pair.decided is not None:
            return self.pair.decided
        if not judges:
            return None, NO_SEAT
        by_judge = {judge: _of(criterion, self.opinions.get(judge, ())) for judge in judges}
        for judge, opinion in by_judge.items():
            if opinion is None or opinion.outcome is None:
                return None, f"{judge}: {opinion.missing_reason if opinion else 'not judged'}"
        said = {judge: opinion for judge, opinion in by_judge.items() if opinion is not None}
        value = fmean(opinion.outcome.value for opinion in said.values() if opinion.outcome is not None)
        return value, " / ".join(f"{judge}: {_told(opinion)}" for judge, opinion in said.items())

    def composite(self, rubric: Rubric, judges: Sequence[str]) -> float | None:
        """Mean over the criteria; None if any is missing."""
        values = [self.points(criterion.name, judges)[0] for criterion in rubric.criteria]
        there = [value for value in values if value is not None]
        return fmean(there) if len(there) == len(values) else None


def opinions(rubric: Rubric, orders: Mapping[int, Sequence[PairChoice]]) -> list[Opinion]:
    """A judge's choices in both orders as opinions, one per criterion."""
    return [_opinion(criterion.name, orders) for criterion in rubric.criteria]


def score_pairs(
    rubric: Rubric,
    job: JobRow,
    results: Mapping[int | None, Sequence[PairResult]],
    panel: Panel,
    unreferenced: frozenset[int] = frozenset(),
) -> JobScores:
    """The judges' scores of the turns of a job. `results`: the pairs of the job, by turn."""
    scores: JobScores = {}
    for turn, place, failure in judged_turns(rubric, job):
        why = NO_REFERENCE if turn.index in unreferenced else None
        pairs = results.get(place, ())
        scores[turn.index] = composed(
            {
                criterion.name: _score(criterion.name, job.id, failure, why, pairs, panel)
                for criterion in rubric.criteria
            }
        )
    return scores


def _score(
    criterion: str, job: str, failure: str | None, why: str | None, results: Sequence[PairResult], panel: Panel
) -> Score:
    if failure is not None:
        return Score(value=0.0, state=ScoreState.WORST, reason=failure)
    if why is not None or not results:
        return unscored(why or ALONE)
    values, answers, reasons = [], [], []
    for result in results:
        judges = panel.seats(result.pair.first.model, result.pair.second.model)
        points, reason = result.points(criterion, judges)
        mine = result.pair.first.id == job
        other = result.names[1] if mine else result.names[0]
        if points is None:
            return unscored(f"against {other}: {reason}")
        values.append(points if mine else 1 - points)
        answers.append(f"{other}: {values[-1]:g}")
        reasons.append(f"against {other}: {reason}")
    return Score(value=fmean(values), answer="; ".join(answers), reason=" / ".join(reasons))


def _opinion(criterion: str, orders: Mapping[int, Sequence[PairChoice]]) -> Opinion:
    choices = [next((c for c in orders.get(order, ()) if c.criterion == criterion), None) for order in (0, 1)]
    first, second = (_outcome(choice, order) for order, choice in enumerate(choices))
    reasons = [choice.reason if choice else "not judged" for choice in choices]
    shown = [choice.shown is Shown.FIRST if choice and choice.shown in _SIDES else None for choice in choices]
    return Opinion(
        criterion=criterion,
        orders=(first, second),
        reasons=(reasons[0], reasons[1]),
        first_shown=(shown[0], shown[1]),
    )


def _outcome(choice: PairChoice | None, order: int) -> PairOutcome | None:
    if choice is None or choice.shown is None:
        return None
    if choice.shown is Shown.TIE:
        return PairOutcome.TIED
    return PairOutcome.WON if (choice.shown is Shown.FIRST) == (order == 0) else PairOutcome.LOST


def _told(opinion: Opinion) -> str:
    """An opinion in words, with the reasons of both orders."""
    assert opinion.outcome is not None
    first, second = opinion.reasons
    changed = "changed with the order, a tie" if opinion.flipped else opinion.outcome.word
    return f"({changed}) {first}" + (f" | {second}" if second != first else "")


def _of(criterion: str, given: Sequence[Opinion]) -> Opinion | None:
    return next((opinion for opinion in given if opinion.criterion == criterion), None)


_SIDES = (Shown.FIRST, Shown.SECOND)
