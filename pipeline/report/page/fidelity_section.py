"""The part of a run's page that shows how far its models are from the one they are held against. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nightjar.pipeline.report.data import fidelity_words as words
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.fidelity_charts import fidelity_charts
from nightjar.pipeline.report.page.fidelity_tables import costs_table, loads_table, numbers_table, stretches_table
from nightjar.pipeline.report.page.grid import Table
from nightjar.pipeline.report.page.page import Drawing, FidelitySection


def section_charts(report: RunReport) -> list[Chart]:
    """The section's charts, under ids of their own; none for a run that is held against nothing."""
    if report.fidelity is None:
        return []
    return [replace(chart, id=f"fidelity-{chart.id}") for chart in fidelity_charts(report.fidelity, _labels(report))]


def fidelity_section(report: RunReport, drawings: Sequence[Drawing]) -> FidelitySection | None:
    """None for a run that is held against nothing. `drawings`: those of `section_charts`."""
    result = report.fidelity
    if result is None:
        return None
    labels = _labels(report)
    return FidelitySection(
        reference=result.reference.label,
        answer=words.answer_words(result),
        about=words.about_words(result),
        notices=result.notices,
        numbers=_own(numbers_table(result, labels)),
        costs=_own(costs_table(result, labels)),
        front=words.front_words(result),
        charts=tuple(drawings),
        by_position=_own(stretches_table(result, "by-position", lambda numbers: numbers.by_position, labels)),
        by_depth=_own(stretches_table(result, "by-depth", lambda numbers: numbers.by_depth, labels)),
        facts=_own(loads_table(result, labels)),
    )


def _own(table: Table) -> Table:
    return replace(table, id=f"fidelity-{table.id}")


def _labels(report: RunReport) -> list[str]:
    """The models in the order of their colours on the page, then a reference that is none of them."""
    loads = [row.label for row in report.fidelity.rows] if report.fidelity is not None else []
    names = [model.name for model in report.models]
    return list(dict.fromkeys([*names, *loads]))
