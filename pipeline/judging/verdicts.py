"""Judges' points as scores of the turns they judge. Pure.

Metrics: `judge` (the unweighted mean over criteria, missing if any is missing) and `judge.<criterion>`. With several
judges each criterion's value is their mean, missing if any of them gave none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.rubric import Criterion, Method, Rubric, Scope
from nightjar.pipeline.scores import Direction, JobScores, Scale, Score, ScoreState, unscored
from nightjar.pipeline.transcripts import JobRow, TurnRow

COMPOSITE = "judge"
SHARE_WON = "share won"
"""The unit of comparisons among a run's own replies."""
NO_SEAT = "a judge is not asked about replies of its own"
NO_REFERENCE = "the turn has no reference, and the rubric requires one"
Verdicts = Mapping[str, Sequence[Verdict]]
"""Judge -> its verdicts on one text."""


def judge_scales(rubric: Rubric) -> dict[str, Scale]:
    """Metric name -> scale; the composite runs from the mean of the criteria's worst to the mean of their best."""
    if rubric.method is Method.PAIRWISE:
        won = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit=SHARE_WON, least=0.0, most=1.0)
        return dict.fromkeys([COMPOSITE, *(metric_name(criterion.name) for criterion in rubric.criteria)], won)
    criteria = {metric_name(criterion.name): _scale(criterion.worst, criterion.best) for criterion in rubric.criteria}
    worst = fmean(criterion.worst for criterion in rubric.criteria)
    best = fmean(criterion.best for criterion in rubric.criteria)
    return {COMPOSITE: _scale(worst, best), **criteria}


def metric_name(criterion: str) -> str:
    """The metric of a criterion: `judge.<criterion>`."""
    return f"{COMPOSITE}.{criterion}"


def is_judges(metric: str) -> bool:
    """Whether a metric comes from judges."""
    return metric == COMPOSITE or metric.startswith(f"{COMPOSITE}.")


def judged_turns(rubric: Rubric, job: JobRow) -> list[tuple[TurnRow, int | None, str | None]]:
    """The turns of a job that get judges' scores, each with its key in the verdicts and, if it failed, the reason.

    A conversation's scores belong to its last turn (key None); it failed if all its replies did.
    """
    if rubric.scope is Scope.TURN:
        return [(turn, turn.index, turn.failure) for turn in job.turns]
    failed = all(turn.failure is not None for turn in job.turns)
    last = job.turns_total - 1
    return [(turn, None, turn.failure if failed else None) for turn in job.turns if turn.index == last]


def score_verdicts(
    rubric: Rubric,
    job: JobRow,
    verdicts: Mapping[int | None, Verdicts],
    judges: Sequence[str],
    unreferenced: frozenset[int] = frozenset(),
) -> JobScores:
    """The judges' scores of the turns of a job. `verdicts`: by turn, None for the conversation.

    `unreferenced`: turns without the reference that the rubric requires.
    """
    scores: JobScores = {}
    for turn, place, failure in judged_turns(rubric, job):
        why = NO_REFERENCE if turn.index in unreferenced else NO_SEAT if not judges else None
        given = verdicts.get(place, {})
        scores[turn.index] = composed(
            {criterion.name: _score(criterion, failure, why, given, judges) for criterion in rubric.criteria}
        )
    return scores


def composed(by_criterion: Mapping[str, Score]) -> dict[str, Score]:
    """The composite, then the criteria, by metric name."""
    values = [score.value for score in by_criterion.values()]
    missing = [name for name, score in by_criterion.items() if score.value is None]
    if missing:
        whole = unscored(f"no verdict on {', '.join(missing)}: {by_criterion[missing[0]].reason}")
    else:
        first = next(iter(by_criterion.values()))
        worst = first.state is ScoreState.WORST
        mean = fmean(value for value in values if value is not None)
        whole = Score(value=mean, state=first.state, reason=first.reason if worst else None)
    return {COMPOSITE: whole, **{metric_name(name): score for name, score in by_criterion.items()}}


def _score(criterion: Criterion, failure: str | None, why: str | None, given: Verdicts, judges: Sequence[str]) -> Score:
    if failure is not None:
        return Score(value=float(criterion.worst), state=ScoreState.WORST, reason=failure)
    if why is not None:
        return unscored(why)
    by_judge = {judge: of_criterion(criterion.name, given.get(judge, ())) for judge in judges}
    for judge, verdict in by_judge.items():
        if verdict is None or verdict.value is None:
            return unscored(f"{judge}: {verdict.reason if verdict else 'not judged'}")
    said = {judge: verdict for judge, verdict in by_judge.items() if verdict is not None}
    return Score(
        value=fmean(verdict.value for verdict in said.values() if verdict.value is not None),
        answer="; ".join(f"{judge}: {verdict.value}" for judge, verdict in said.items()),
        reason=_reasons(said),
    )


def composite(rubric: Rubric, verdicts: Sequence[Verdict]) -> float | None:
    """One judge's mean over the criteria of one text; None if any is missing."""
    of_criteria = [of_criterion(criterion.name, verdicts) for criterion in rubric.criteria]
    values = [verdict.value for verdict in of_criteria if verdict is not None and verdict.value is not None]
    return fmean(values) if len(values) == len(rubric.criteria) else None


def of_criterion(criterion: str, verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict on a criterion, if there is one."""
    return next((verdict for verdict in verdicts if verdict.criterion == criterion), None)


def _reasons(said: Mapping[str, Verdict]) -> str:
    """What the judge said; with several judges, who said it and what each gave."""
    if len(said) == 1:
        return next(iter(said.values())).reason
    return " / ".join(f"{judge} ({verdict.value}): {verdict.reason}" for judge, verdict in said.items())


def _scale(worst: float, best: float) -> Scale:
    return Scale(
        worst=float(worst),
        best=float(best),
        direction=Direction.HIGHER,
        unit="points",
        least=float(worst),
        most=float(best),
    )
