"""What runs have cost so far, in dollars and in words: requests to endpoints, and what their workers' cards used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nightjar.jobs.money.energy import Electricity, electricity_of
from nightjar.jobs.money.spending import RunSpending, spending_in_all
from nightjar.jobs.mongo import Database
from nightjar.jobs.remote_models import usd_text


@dataclass(frozen=True, kw_only=True)
class RunCosts:
    """Of one run, as `RunView` has it, but not by model."""

    cost_usd: float | None = None
    cost: str | None = None
    electricity_usd: float | None = None
    electricity: str | None = None

    @property
    def words(self) -> str | None:
        """ "$0.0042", "$0.0012 electricity", "$0.0042 + $0.0012 electricity"; None where nothing is known to cost."""
        return " + ".join(filter(None, (self.cost, self.electricity))) or None


async def read_costs(runs: Collection[str], database: Database) -> dict[str, RunCosts]:
    """By run id; runs without remote models and without known electricity are left out. Two questions to MongoDB."""
    spent, electricity = await spending_in_all(runs, database), await electricity_of(runs, database)
    return {run: _costs(spent.get(run), electricity.get(run)) for run in runs if run in spent or run in electricity}


def _costs(spent: RunSpending | None, used: Electricity | None) -> RunCosts:
    return RunCosts(
        cost_usd=None if spent is None else spent.usd,
        cost=None if spent is None else usd_text(spent.usd, unpriced=spent.unpriced),
        electricity_usd=None if used is None else used.usd,
        electricity=None if used is None else used.text,
    )
