"""The report's table of who answered for the run's policies. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.routes import CandidateShare
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of

COLUMNS = ("policy", "answered by", "chosen for>", "took over>", "turns>", "why")
MOST_REASONS = 4


def routes_table(report: RunReport) -> Table:
    """One row a policy and candidate."""
    return Table(id="routes", columns=columns_of(COLUMNS), rows=tuple(map(_row, report.routes)))


def _row(share: CandidateShare) -> tuple[Cell, ...]:
    handed_on = f"{fmt.whole(share.handed_on)} of them went on with another" if share.handed_on else ""
    listed = list(share.reasons.items())
    reasons = [f"{reason} ({fmt.whole(count)})" for reason, count in listed[:MOST_REASONS]]
    more = len(listed) - MOST_REASONS
    return (
        Cell(text=share.contestant, note="" if share.contestant == share.policy else share.policy),
        Cell(text=share.model),
        Cell(text=fmt.whole(share.chosen), note=handed_on, alert=share.handed_on > 0),
        Cell(text=fmt.whole(share.taken_over)),
        Cell(text=fmt.whole(share.turns)),
        Cell(text="; ".join(reasons), note=f"and {fmt.count_of(more, 'more reason')}" if more > 0 else ""),
    )
