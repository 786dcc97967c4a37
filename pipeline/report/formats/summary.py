"""A report's short table, for a terminal and for Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport

EMPTY = "empty"
KINDS = (EMPTY, "degenerate", "repeated")
"""What a reply can be unusable for, as columns."""


def summary_rows(report: RunReport) -> tuple[list[str], list[list[str]]]:
    """Columns (right-aligned ones end in ">") and one row per model: quality, failures, speed."""
    quality = [name for name in report.leading_metrics(4) if name != "words"]  # it has a column of its own
    faults = _faults(report) if report.generates else []
    columns = ["model", *(f"{name}>" for name in quality)]
    columns += ["turns>", *(f"{fault}>" for fault in faults), "failed jobs>"]
    if report.generates:  # where nothing is written, nothing is counted of it
        columns += ["words>", f"{fmt.PER_CONVERSATION}>", "first token>"]
    return columns, [_row(report, model, quality, faults) for model in report.models]


def _faults(report: RunReport) -> list[str]:
    """Columns of unusable replies, each of one kind: those that occur, and `empty` always."""
    totals = [_unusable(model) for model in report.models]
    return [kind for kind in KINDS if kind == EMPTY or any(total[kind] for total in totals)]


def _unusable(model: ModelReport) -> dict[str, int]:
    counts = model.total.counts
    return dict(zip(KINDS, (counts.empty, counts.degenerate, counts.repeats_previous), strict=True))


def _row(report: RunReport, model: ModelReport, quality: Sequence[str], faults: Sequence[str]) -> list[str]:
    counts, speed = model.total.counts, model.total.speed
    cells = [fmt.metric(model.total.metrics.get(name), report.scales[name]) for name in quality]
    words = model.total.metrics.get("words")
    written = [
        fmt.number(words.mean if words else None),
        fmt.number(speed.decode_tokens_per_s),
        fmt.seconds(speed.first_token_p50_s),
    ]
    return [
        model.name,
        *cells,
        f"{counts.turns}/{counts.turns_expected}",
        *(str(_unusable(model)[fault]) for fault in faults),
        str(counts.failed),
        *(written if report.generates else ()),
    ]
