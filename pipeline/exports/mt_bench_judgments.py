"""The judges' verdicts for FastChat's `show_result`: one file a judge, points (single) or choices (pair). Pure.

The scores are on the rubric's own scale, the mean over its criteria. A text without a verdict has FastChat's score
-1, a pair without one the winner "error": `show_result` leaves both out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from nightjar.pipeline.exports.conversation import question_id
from nightjar.pipeline.exports.file import ExportFile, json_lines, safe_name
from nightjar.pipeline.judging.pairs import Opinion, PairOutcome, PairResult
from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.rubric import Method, Rubric, Scope
from nightjar.pipeline.report.data.judges import JudgingReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import JobRow, TurnRow

NO_SCORE = -1
WINNERS = {PairOutcome.WON: "model_1", PairOutcome.LOST: "model_2", PairOutcome.TIED: "tie"}


def judgment_files(report: RunReport, folder: str) -> Iterator[ExportFile]:
    """`model_judgment/JUDGE_single.jsonl` or `JUDGE_pair.jsonl` for every judge of the run."""
    judging = report.judging
    if judging is None or judging.rubric is None:
        return
    pairwise = judging.rubric.method is Method.PAIRWISE
    for judge in judging.bench.judges:
        path = f"{folder}/model_judgment/{safe_name(judge)}_{'pair' if pairwise else 'single'}.jsonl"
        rows = _pairs(report, judging, judge) if pairwise else _singles(report, judging.rubric, judging, judge)
        yield ExportFile(path=path, pieces=json_lines(rows))


def _singles(report: RunReport, rubric: Rubric, judging: JudgingReport, judge: str) -> Iterator[dict[str, Any]]:
    for job in report.jobs:
        if judge not in judging.bench.panel.seats(job.model):
            continue
        for turn in job.turns:
            if rubric.scope is Scope.CONVERSATION and turn.index != job.turns_total - 1:
                continue
            place = None if rubric.scope is Scope.CONVERSATION else turn.index
            given = judging.bench.verdicts.get((job.id, place), {}).get(judge, ())
            score, said = _points(rubric, turn, given)
            yield {
                "question_id": question_id(job.sequence),
                "model": safe_name(job.contestant),
                "judge": [judge, rubric.name],
                "user_prompt": turn.prompt,
                "judgment": said,
                "score": NO_SCORE if score is None else score,
                "turn": turn.index + 1,
                "tstamp": turn.committed_at.timestamp(),
                "repeat": job.repeat,
            }


def _points(rubric: Rubric, turn: TurnRow, given: Sequence[Verdict]) -> tuple[float | None, str]:
    """The judge's mean over the criteria, and what it said. A failed reply gets the worst points unjudged."""
    if turn.failure is not None and not given:
        return fmean(criterion.worst for criterion in rubric.criteria), turn.failure
    values = [verdict.value for verdict in given if verdict.value is not None]
    said = "\n".join(f"{verdict.criterion}: {verdict.value}. {verdict.reason}" for verdict in given)
    return (fmean(values) if len(values) == len(rubric.criteria) else None), said or "not judged"


def _pairs(report: RunReport, judging: JudgingReport, judge: str) -> Iterator[dict[str, Any]]:
    jobs = {job.id: job for job in report.jobs}
    name = judging.rubric.name if judging.rubric else "rubric"
    for result in judging.bench.pairs:
        first, second = result.pair.first, result.pair.second
        if judge in judging.bench.panel.seats(first.model, second.model):
            first_order, second_order = _orders(result, judge)
            yield {
                "question_id": question_id(first.sequence),
                "model_1": safe_name(result.names[0]),
                "model_2": safe_name(result.names[1]),
                "g1_winner": first_order[0],
                "g2_winner": second_order[0],
                "judge": [judge, name],
                "g1_user_prompt": "",
                "g1_judgment": first_order[1],
                "g2_user_prompt": "",
                "g2_judgment": second_order[1],
                "turn": (len(first.turns) - 1 if result.pair.turn is None else result.pair.turn) + 1,
                "tstamp": _time(jobs, first.id),
                "repeat": first.repeat,
            }


def _orders(result: PairResult, judge: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The winner and what the judge said, for each order; a pair that needed no judge has the same in both."""
    if result.pair.decided is not None:
        points, why = result.pair.decided
        same = (WINNERS[PairOutcome(points)], why)
        return same, same
    given = result.opinions.get(judge, ())
    return _order(given, 0), _order(given, 1)


def _order(given: Sequence[Opinion], order: int) -> tuple[str, str]:
    """The winner by the mean over criteria, a tie if it is even, an error if a criterion has no verdict."""
    outcomes = [opinion.orders[order] for opinion in given]
    said = "\n".join(f"{opinion.criterion}: {opinion.reasons[order]}" for opinion in given)
    points = [outcome.value for outcome in outcomes if outcome is not None]
    if not points or len(points) < len(outcomes):
        return "error", said or "not judged"
    mean = fmean(points)
    return WINNERS[PairOutcome.TIED if mean == 0.5 else PairOutcome.WON if mean > 0.5 else PairOutcome.LOST], said


def _time(jobs: Mapping[str, JobRow], job: str) -> float:
    turns = jobs[job].turns if job in jobs else ()
    return turns[-1].committed_at.timestamp() if turns else 0.0
