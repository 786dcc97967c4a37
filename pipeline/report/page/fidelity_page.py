"""A fidelity result as one self-contained page, with the look and security policy of a run's report. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import fidelity_words as words
from nightjar.pipeline.report.data.fidelity import FidelityResult
from nightjar.pipeline.report.page.build import model_labels
from nightjar.pipeline.report.page.fidelity_charts import fidelity_charts
from nightjar.pipeline.report.page.fidelity_tables import costs_table, loads_table, numbers_table, stretches_table
from nightjar.pipeline.report.page.html import asset, csp_hash, drawing, render_template
from nightjar.pipeline.report.page.page import FidelityPage


def render_fidelity(result: FidelityResult) -> str:
    """The page."""
    return render_template("fidelity.html", fidelity_page(result))


def fidelity_page(result: FidelityResult) -> FidelityPage:
    """The content of the page."""
    style = asset("report.css")
    return FidelityPage(
        generated_by=result.generated_by,
        style=style,
        style_hash=csp_hash(style),
        reference=result.reference.label,
        answer=words.answer_words(result),
        about=words.about_words(result),
        notices=result.notices,
        loads=model_labels([row.label for row in result.rows]),
        gates=tuple(gate.sentence() for gate in result.gates),
        numbers=numbers_table(result),
        costs=costs_table(result),
        front=words.front_words(result),
        charts=tuple(drawing(chart) for chart in fidelity_charts(result)),
        by_position=stretches_table(result, "by-position", lambda numbers: numbers.by_position),
        by_depth=stretches_table(result, "by-depth", lambda numbers: numbers.by_depth)
        if result.material.kind == "run"
        else None,
        facts=loads_table(result),
        made=f"Made by {result.generated_by} on {result.generated_at:%Y-%m-%d %H:%M} UTC.",
    )
