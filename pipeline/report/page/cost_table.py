"""The report's tables of what models cost: at endpoints and in electricity, and by sequence. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nightjar.jobs.remote_models import ROLES, usd_text
from nightjar.jobs.states import JobKind
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.costs import ModelCost
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.sequence_costs import SequenceCost
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of

COLUMNS = ("model", "for", "cost>", "each>", "requests>", "prompt tokens>", "reply tokens>", "price")
MOST_DEAREST = 300


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


def sequence_costs_table(report: RunReport) -> Table:
    """One row a sequence, one column a model and role; of very many the MOST_DEAREST, in suite order all the same."""
    columns = list(dict.fromkeys((cost.model, cost.role) for cost in report.sequence_costs))
    columns.sort(key=lambda column: list(ROLES.values()).index(column[1]))
    rows: dict[str, dict[tuple[str, str], SequenceCost]] = {}
    for cost in report.sequence_costs:
        rows.setdefault(cost.sequence, {})[cost.model, cost.role] = cost
    dearest = set(sorted(rows, key=lambda name: _known(rows[name].values()) or 0.0, reverse=True)[:MOST_DEAREST])
    shown = [(name, costs) for name, costs in rows.items() if name in dearest]
    heads = [model if role == ROLES[JobKind.REPLY] else f"{model}, {role}" for model, role in columns]
    return Table(
        id="sequence-costs",
        columns=columns_of(["sequence", *(f"{head}>" for head in heads), "all>"]),
        rows=tuple(
            (Cell(text=name), *(_paid(costs.get(column)) for column in columns), _all(costs.values()))
            for name, costs in shown
        ),
    )


def _paid(cost: SequenceCost | None) -> Cell:
    if cost is None:
        return Cell(text=fmt.ABSENT, note="nothing was sent")
    return Cell(text=cost.text, note=_notes(cost), alert=cost.usd is None)


def _all(costs: Collection[SequenceCost]) -> Cell:
    return Cell(text=usd_text(_known(costs), unpriced=sum(cost.unpriced for cost in costs)))


def _known(costs: Iterable[SequenceCost]) -> float | None:
    known = [cost.usd for cost in costs if cost.usd is not None]
    return sum(known) if known else None


def _notes(cost: ModelCost | SequenceCost) -> str:
    """What keeps the number from being exact."""
    counts = ((cost.unpriced, "without a price"), (cost.estimated, "estimated"), (cost.open, "under way"))
    return ", ".join(f"{fmt.whole(count)} {what}" for count, what in counts if count)
