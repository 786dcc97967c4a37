"""The judges' section of the JSON report, and their columns of the CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from nightjar.pipeline.judging.checkup import Checkup
from nightjar.pipeline.judging.rubric import Method
from nightjar.pipeline.judging.verdicts import is_judges
from nightjar.pipeline.report.data.judges import JudgeReport, JudgingReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import TurnRow


def judging_json(judging: JudgingReport | None) -> dict[str, Any] | None:
    """The rubric with its digests, judges, agreement, win rates and every verdict; None without judges."""
    if judging is None:
        return None
    return {
        "rubric": judging.rubric.model_dump(mode="json") if judging.rubric else None,
        "prompt_digest": judging.prompt_digest,
        "scoring_digest": judging.scoring_digest,
        "against": judging.against,
        "judges": [_judge(judge) for judge in judging.judges],
        "agreement": [asdict(agreement) for agreement in judging.agreement],
        "win_rates": [asdict(rate) for rate in judging.rates],
        "strengths": [asdict(strength) for strength in judging.strengths],
        "imitations": [asdict(imitation) for imitation in judging.imitations],
        "verdicts": [asdict(verdict) for verdict in judging.verdicts()],
    }


def checkup_json(checkup: Checkup) -> dict[str, Any]:
    """The result of checking one judge."""
    return {
        "judge": checkup.judge,
        "rubric": checkup.rubric,
        "ability": checkup.ability.value,
        "told": checkup.told,
        "controls": [asdict(control) for control in checkup.controls],
        "resistance": checkup.resistance,
        "told_of_attempts": checkup.told_of_attempts,
        "attempts": [asdict(attempt) for attempt in checkup.attempts],
    }


def answer_columns(report: RunReport) -> list[str]:
    """Scores that get a CSV column with each judge's or opponent's part; none if there is only one."""
    judging = report.judging
    if judging is None or judging.rubric is None:
        return []
    several = len(judging.judges) > 1 or judging.rubric.method is Method.PAIRWISE
    return [name for name in report.metrics if is_judges(name)][1:] if several else []


def answer_cells(turn: TurnRow, names: Iterable[str]) -> Iterator[str]:
    """The cells of those columns."""
    for name in names:
        score = turn.scores.get(name)
        yield (score.answer or "") if score is not None else ""


def _judge(judge: JudgeReport) -> dict[str, Any]:
    flips = judge.flips
    return {
        "name": judge.name,
        "file": judge.file,
        "own": list(judge.own),
        "asked": judge.asked,
        "judged": judge.judged,
        "missing": dict(judge.missing),
        "mean": judge.mean,
        "flips": {**asdict(flips), "rate": flips.rate, "first_share": flips.first_share} if flips else None,
        "check": checkup_json(judge.checkup) if judge.checkup else None,
    }
