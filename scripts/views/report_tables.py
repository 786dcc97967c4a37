"""Further tables of a report in a terminal: by the length of the context, and how far models are from a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.pipeline.report.data.run_report import RunReport


def show_report_tables(report: RunReport) -> None:
    """Those that the report has something for."""
    from nightjar.pipeline.report.data.depths import COLUMNS, depth_rows
    from nightjar.pipeline.report.data.fidelity_words import answer_words
    from nightjar.pipeline.report.page.fidelity_tables import TERMINAL_COLUMNS, terminal_rows

    if rows := depth_rows(report):
        console().print(table("By length of the context; tokens/s", COLUMNS, rows))
    if report.fidelity is not None:
        title = f"Fidelity to {report.fidelity.reference.label}"
        console().print(table(title, TERMINAL_COLUMNS, terminal_rows(report.fidelity)))
        console().print(plain(f"{answer_words(report.fidelity)}"))
