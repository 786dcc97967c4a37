"""The table of scores and speeds by the length of the context. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.depths import DepthStep, depth_steps, score_text
from nightjar.pipeline.report.data.links import show
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.grid import SERIES, Cell, Table, columns_of


def depths_table(report: RunReport) -> Table | None:
    """A row for each length and model; None for a suite that does not ask at several lengths."""
    steps = depth_steps(report)
    if not steps:
        return None
    columns = ("context", "model", "prompt tokens>", f"{report.headline or 'score'}>", "prefill>", "decode>")
    at = {model.name: number for number, model in enumerate(report.models)}
    return Table(
        id="depths",
        columns=columns_of(columns),
        rows=tuple(_row(step, report, at[step.model]) for step in steps),
    )


def _row(step: DepthStep, report: RunReport, at: int) -> tuple[Cell, ...]:
    counted = fmt.count_of(step.sequences, "sequence")
    return (
        Cell(text=step.length, note=counted),
        Cell(text=step.model, series=at % SERIES + 1, link=show(model=step.model, tag=step.length)),
        Cell(text=fmt.ABSENT if step.prompt_tokens is None else fmt.whole(round(step.prompt_tokens))),
        Cell(text=score_text(step, report), note=_ends(step, report)),
        Cell(text=fmt.number(step.prefill_tokens_per_s), note="tokens/s"),
        Cell(text=fmt.number(step.decode_tokens_per_s), note="tokens/s"),
    )


def _ends(step: DepthStep, report: RunReport) -> str:
    if step.metric is None or step.low is None or step.high is None:
        return ""
    scale = report.scales[step.metric]
    return f"{fmt.metric_value(step.low, scale)}{fmt.TO}{fmt.metric_value(step.high, scale)}"
