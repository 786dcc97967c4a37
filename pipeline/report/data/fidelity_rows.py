"""Loads with their numbers and costs put side by side: who is on the Pareto front, what is to be said of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nightjar.config.counting import how_many
from nightjar.pipeline.report.data.fidelity import FidelityRow, Material
from nightjar.pipeline.report.data.fidelity_costs import front_measures, pareto_front
from nightjar.pipeline.report.data.notice import Notice


def ranked_rows(rows: Sequence[FidelityRow]) -> tuple[list[FidelityRow], tuple[str, ...]]:
    """The rows, the reference first, with the front marked, and the measures that it is over."""
    divergence = {row.label: row.numbers.kld.value if row.numbers is not None else 0.0 for row in rows}
    measures = front_measures({row.label: row.costs for row in rows}, divergence)
    front = pareto_front([row.label for row in rows], measures)
    return [replace(row, on_front=row.label in front) for row in rows], tuple(measure.name for measure in measures)


def reading_notices(material: Material, rows: Sequence[FidelityRow]) -> list[Notice]:
    """What was left out of what was to be read, and what the intervals are over where that is not plain."""
    notices = []
    if material.left_out:
        reasons = "; ".join(f"{how_many(count, 'turn')} ({reason})" for reason, count in material.left_out.items())
        notices.append(Notice(level="warning", text=f"Left out: {reasons}."))
    numbers = next((row.numbers for row in rows if row.numbers is not None), None)
    if numbers is not None and numbers.unit == "window" and numbers.kld.interval is not None:
        text = "Intervals are over the windows of the text, which may resemble each other more than other texts would."
        notices.append(Notice(level="info", text=text))
    return notices
