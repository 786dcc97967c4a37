"""Cells that say how a run ended: its scores against the baseline's, its gates, cost and duration. Pure."""

from __future__ import annotations

from nightjar.jobs.ending import GateOutcome, GateVerdict
from nightjar.jobs.status.results import HeldScore, RunResult
from nightjar.pipeline.report.data.numbers import ABSENT, number
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.pages.words import duration

RESULT_COLUMNS = ("score>", "gates", "cost>", "duration>")
MOST_SCORES = 4
"""Models whose scores are shown; the run's page and its report have all of them."""


def result_cells(result: RunResult, costs: str | None) -> tuple[Cell, ...]:
    """Under `RESULT_COLUMNS`. `costs`: in words; None where nothing is known to cost."""
    return (
        _score_cell(result),
        _gates_cell(result.verdict),
        Cell(text=costs or ABSENT),
        Cell(text=duration(result.duration_s)),
    )


def _score_cell(result: RunResult) -> Cell:
    scores = result.scores
    if not scores:
        return Cell(text=ABSENT, note="the baseline" if result.is_baseline else "")
    alone = len(scores) == 1
    shown = [_score(score, alone=alone) for score in scores[:MOST_SCORES]]
    shown += [f"{len(scores) - MOST_SCORES} more"] if len(scores) > MOST_SCORES else []
    return Cell(text="; ".join(shown), note=f"{scores[0].metric}{_against(result)}")


def _score(score: HeldScore, *, alone: bool) -> str:
    delta = "" if score.delta is None else f" ({signed_difference(score.delta)})"
    return f"{'' if alone else f'{score.model} '}{number(score.mean)}{delta}"


def _against(result: RunResult) -> str:
    """What the differences are to, or why there are none."""
    if result.is_baseline:
        return ", the baseline"
    if result.baseline is None:
        return ""
    if any(score.delta is not None for score in result.scores):
        return f", against {result.baseline}"
    reasons = "; ".join(dict.fromkeys(score.why_not for score in result.scores if score.why_not))
    return f", not comparable with {result.baseline}: {reasons}" if reasons else ""


def signed_difference(value: float) -> str:
    """About three significant digits, always with a sign but for none at all."""
    if value == 0:
        return "±0"
    return ("+" if value > 0 else "\u2212") + number(abs(value))


def _gates_cell(verdict: GateVerdict | None) -> Cell:
    """What they said, and which of them did not pass."""
    if verdict is None:
        return Cell(text=ABSENT)
    bad = dict.fromkeys(str(each.gate) for each in verdict.results if each.outcome is not GateOutcome.PASSED)
    return Cell(text=verdict.outcome, note="; ".join(bad), alert=verdict.failed)
