"""Judges' verdicts as scores of the turns they judge. Pure.

Metrics: `judge` (the unweighted mean over criteria, missing if any is missing) and `judge.<criterion>`. With several
judges each criterion's value is the mean over them, missing if any gave none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pipeline.scoring.judge_prompts import Verdict
from pipeline.scoring.rubric import Criterion, Rubric, Scope
from pipeline.scoring.scorer import Direction, Scale, Score, ScoreState, unscored
from pipeline.transcripts import JobRow

COMPOSITE = "judge"
Verdicts = Mapping[str, Sequence[Verdict]]
"""Judge -> its verdicts on one text."""


def judge_scales(rubric: Rubric) -> dict[str, Scale]:
    """Metric name -> scale; the composite runs from the criteria's mean worst to their mean best."""
    criteria = {f"{COMPOSITE}.{one.name}": _scale(one.worst, one.best) for one in rubric.criteria}
    worst = fmean(one.worst for one in rubric.criteria)
    best = fmean(one.best for one in rubric.criteria)
    return {COMPOSITE: _scale(worst, best), **criteria}


def judged_turn(rubric: Rubric, job: JobRow) -> int:
    """The turn that carries a conversation's scores: its last."""
    return job.turns_total - 1


def score_verdicts(rubric: Rubric, job: JobRow, verdicts: Mapping[int | None, Verdicts], judges: Sequence[str]) -> None:
    """Adds judges' scores to the turns of a job, in place. `verdicts`: by turn, None for the conversation."""
    for turn in job.turns:
        if rubric.scope is Scope.CONVERSATION:
            if turn.index != judged_turn(rubric, job):
                continue
            failed = all(one.failure is not None for one in job.turns)
            given = verdicts.get(None, {})
        else:
            failed = turn.failure is not None
            given = verdicts.get(turn.index, {})
        turn.scores.update(_scores(rubric, turn.failure if failed else None, given, judges))


def _scores(rubric: Rubric, failure: str | None, given: Verdicts, judges: Sequence[str]) -> dict[str, Score]:
    by_criterion = {one.name: _score(one, failure, given, judges) for one in rubric.criteria}
    values = [score.value for score in by_criterion.values()]
    missing = [name for name, score in by_criterion.items() if score.value is None]
    if missing:
        whole = unscored(f"no verdict on {', '.join(missing)}: {by_criterion[missing[0]].reason}")
    else:
        first = next(iter(by_criterion.values()))
        worst = first.state is ScoreState.WORST
        mean = fmean(value for value in values if value is not None)
        whole = Score(value=mean, state=first.state, reason=first.reason if worst else None)
    return {COMPOSITE: whole, **{f"{COMPOSITE}.{name}": score for name, score in by_criterion.items()}}


def _score(criterion: Criterion, failure: str | None, given: Verdicts, judges: Sequence[str]) -> Score:
    if failure is not None:
        return Score(value=float(criterion.worst), state=ScoreState.WORST, reason=failure)
    if not judges:
        return unscored("a judge is not asked about replies of its own")
    found = {judge: _of(criterion, given.get(judge, ())) for judge in judges}
    for judge, verdict in found.items():
        if verdict is None or verdict.value is None:
            return unscored(f"{judge}: {verdict.reason if verdict else 'not judged'}")
    said = {judge: verdict for judge, verdict in found.items() if verdict is not None}
    return Score(
        value=fmean(verdict.value for verdict in said.values() if verdict.value is not None),
        answer="; ".join(f"{judge}: {verdict.value}" for judge, verdict in said.items()),
        reason=_reasons(said),
    )


def _reasons(said: Mapping[str, Verdict]) -> str:
    """What the judge said; of several judges, who said it and gave what."""
    if len(said) == 1:
        return next(iter(said.values())).reason
    return " / ".join(f"{judge} ({verdict.value}): {verdict.reason}" for judge, verdict in said.items())


def _of(criterion: Criterion, verdicts: Sequence[Verdict]) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.criterion == criterion.name), None)


def _scale(worst: float, best: float) -> Scale:
    return Scale(
        worst=float(worst), best=float(best), direction=Direction.HIGHER, unit="points", least=float(worst),
        most=float(best),
    )  # fmt: skip
