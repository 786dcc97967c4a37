"""The report's table of what models cost: at endpoints, and in electricity. Pure."""

from __future__ import annotations

from nightjar.jobs.remote_models import usd_text
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.costs import ModelCost
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of

COLUMNS = ("model", "for", "cost>", "each>", "requests>", "prompt tokens>", "reply tokens>", "price")


def cost_table(report: RunReport) -> Table:
    """One row a model and role, and their sum where there are several."""
    rows = [_row(cost) for cost in report.costs]
    known = [cost.usd for cost in report.costs if cost.usd is not None]
    if len(rows) > 1:
        unpriced = sum(cost.unpriced for cost in report.costs)
        total = Cell(text=usd_text(sum(known) if known else None, unpriced=unpriced))
        rows.append((Cell(text="all"), Cell(text=""), total, *(Cell(text="") for _ in COLUMNS[3:])))
    return Table(id="costs", columns=columns_of(COLUMNS), rows=tuple(rows))


def _row(cost: ModelCost) -> tuple[Cell, ...]:
    each = "" if cost.usd_per_job is None else usd_text(cost.usd_per_job)
    cached = f"{fmt.whole(cost.cached_tokens)} cached" if cost.cached_tokens else ""
    return (
        Cell(text=cost.model),
        Cell(text=cost.role),
        Cell(text=cost.text, note=_notes(cost), alert=cost.usd is None),
        Cell(text=each),
        Cell(text=fmt.whole(cost.requests)),
        Cell(text=fmt.whole(cost.prompt_tokens), note=cached),
        Cell(text=fmt.whole(cost.reply_tokens)),
        Cell(text=cost.price or "unknown"),
    )


def _notes(cost: ModelCost) -> str:
    """What keeps the number from being exact."""
    counts = ((cost.unpriced, "without a price"), (cost.estimated, "estimated"), (cost.open, "under way"))
    return ", ".join(f"{fmt.whole(count)} {what}" for count, what in counts if count)
