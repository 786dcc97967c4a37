"""The short table of a report, for a terminal and for Markdown. Pure."""

from __future__ import annotations

from pipeline.report import format as fmt
from pipeline.report.data import ModelReport, RunReport


def summary_rows(report: RunReport) -> tuple[list[str], list[list[str]]]:
    """Columns (right-aligned ones end in ">") and one row per model: quality, failures, speed."""
    quality = [name for name in report.quality_metrics() if name != report.headline]
    columns = ["model", *([f"{report.headline}>"] if report.headline else []), *(f"{name}>" for name in quality[:3])]
    columns += ["turns>", "empty>", "failed>", "words>", "tokens/s>", "first token>"]
    return columns, [_row(report, model, quality[:3]) for model in report.models]


def _row(report: RunReport, model: ModelReport, quality: list[str]) -> list[str]:
    counts, speed = model.total.counts, model.total.speed
    names = [*([report.headline] if report.headline else []), *quality]
    cells = [fmt.metric(model.total.metrics.get(name), report.scales[name]) for name in names]
    words = model.total.metrics.get("words")
    return [
        model.name,
        *cells,
        f"{counts.turns}/{counts.turns_expected}",
        str(counts.empty + counts.degenerate),
        str(counts.failed),
        fmt.number(words.mean if words else None),
        fmt.number(speed.decode_tokens_per_s),
        fmt.seconds(speed.first_token_p50_s),
    ]
