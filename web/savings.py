"""What this server's replies would have cost at the reference model, for `/stats`, `/metrics` and the page of costs."""

from __future__ import annotations

from nightjar.jobs.money.paired_use import paired_use
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.remote_models import Price
from nightjar.pipeline.routing.savings import CostRatio, Savings, cost_ratio, savings
from nightjar.web.site import Site

PATIENCE_S = 2.0
"""How long evaluations may be read while somebody waits; they are read on, and are there the next time."""
NO_REFERENCE = "Nothing says what it would have cost elsewhere: [money] reference_model is not set."


async def savings_reference(site: Site) -> tuple[str, Price | None] | None:
    """The model that savings are counted by, and its price; None where none is set."""
    name = site.settings.money.reference_model
    if name is None:
        return None
    known = (await published([name], site.database)).get(name)
    remote = None if known is None else known.facts.remote
    return name, None if remote is None else remote.price


async def read_ratio(name: str | None, database: Database) -> CostRatio | None:
    """What evaluations say of the reference's costs."""
    known = {} if name is None else await published([name], database)
    remote = known[name].facts.remote if name is not None and name in known else None
    if name is None or remote is None or remote.price is None:
        return None
    return cost_ratio(await paired_use(name, database), remote.price)


async def site_savings(site: Site) -> Savings:
    """Of this server since it started. Counts what was paid until now."""
    await site.payments.look()
    reference = await savings_reference(site)
    if reference is None:
        return Savings(assumption=NO_REFERENCE)
    name, price = reference
    if price is None:
        return Savings(assumption=f"Nobody knows the price of {name}, the [money] reference_model.")
    ratio = await site.ratio.look(PATIENCE_S)
    given, paid, left_out = site.meters.answers.but_for(name)
    return savings(name, price, given, paid, ratio, left_out=left_out)
