"""Costs and router: what was spent at endpoints and what is left of budgets; the policies, and what they save."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from nightjar.config.counting import how_many
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.routing.policies import RoutingPolicy, all_policies
from nightjar.jobs.status.ledger import (
    BudgetedRun,
    LedgerCell,
    LedgerSum,
    budgeted_runs,
    endpoint_sums,
    pauses,
    read_ledger,
    sums_by,
)
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell, Table
from nightjar.pipeline.routing.words import coverage
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.policy_facts import policy_path, read_savings, read_stale
from nightjar.web.pages.words import linked, made_table, run_address, whole_number
from nightjar.web.savings import site_savings
from nightjar.web.sheet import Choice, Field, Form, Said, Section, Sheet
from nightjar.workers.library.endpoints import RemoteEndpoint
from nightjar.workers.library.registry import read_registry

PERIODS = {"1": "the last day", "7": "the last 7 days", "30": "the last 30 days", "365": "the last year"}
USUAL = "30"
SPENT = ("cost>", "requests>", "prompt tokens>", "reply tokens>")
NONE_YET = (
    "Nothing was sent to an endpoint in that time. `nightjar endpoint add` makes one known, `nightjar model add NAME "
    "--endpoint E --model M` a model at it."
)
NO_POLICY = (
    "None. `nightjar router alias NAME MODEL MODEL` writes a list that works at once, `nightjar router learn NAME "
    "--run RUN` learns one from a judged run."
)


async def build_costs(visit: Visit) -> Sheet:
    """`days` in the address: how far back the costs go; budgets and policies are as they are now."""
    database = visit.site.database
    now = await database.now()
    days = visit.one("days", USUAL)
    days = days if days in PERIODS else USUAL
    cells = await read_ledger(now - timedelta(days=int(days)), database)
    policies = await all_policies()
    known = (await asyncio.to_thread(read_registry, visit.site.settings.models_file)).endpoints
    paused = await pauses(database)
    total = sum((cell.total for cell in cells), start=LedgerSum())
    return Sheet(
        title="Costs and router",
        live=True,
        lead=_lead(total, PERIODS[days]) if cells else "",
        said=tuple(Said(text=f"{name} is paused: {why}", level="warning") for name, why in sorted(paused.items())),
        sections=(
            _spent_section(cells, days),
            *(_by(name, heading, cells, key) for name, heading, key in _VIEWS if cells),
            Section(
                id="endpoint-budgets-section",
                heading="Budgets of endpoints",
                hint="US dollars in this calendar month (UTC). What is under way counts as all that it may cost.",
                table=_endpoint_budgets(known, await endpoint_sums(_month(now), database), paused),
                empty="No endpoint has one. `nightjar endpoint add NAME ADDRESS --budget 20` sets it.",
            ),
            Section(
                id="run-budgets-section",
                heading="Budgets of runs",
                table=made_table("run-budgets", RUN_BUDGETS, map(_run_budget, await budgeted_runs(database))),
                empty="No run has one. `nightjar enqueue --budget 2.50` sets it.",
            ),
            Section(
                id="policies-section",
                heading="Policies",
                hint="What `alias:NAME` and `router:NAME` mean, in requests and as models of runs. They never change "
                "by themselves.",
                table=made_table("policies", POLICIES, [await _policy(policy, visit, now) for policy in policies]),
                empty=NO_POLICY,
            ),
            await _savings_section(visit, policies),
        ),
    )


def _lead(total: LedgerSum, period: str) -> str:
    return f"{total.text} for {how_many(total.requests, 'request')} in {period}{_of_it(total)}."


def _of_it(total: LedgerSum) -> str:
    """What keeps the sum from being exact, named as such."""
    said = [
        (total.open, f"{whole_number(total.open)} under way, with {usd_text(total.reserved_usd)} reserved"),
        (total.estimated, f"{whole_number(total.estimated)} with estimated usage"),
        (total.unpriced, f"{whole_number(total.unpriced)} of unknown price, which are not in the sum"),
    ]
    listed = [words for count, words in said if count]
    return f"; of these {', '.join(listed)}" if listed else ""


def _spent_section(cells: list[LedgerCell], days: str) -> Section:
    choices = tuple(Choice(value=value, text=text, chosen=value == days) for value, text in PERIODS.items())
    form = Form(path="/costs", submit="Show", fields=(Field(name="days", label="Costs of", choices=choices),))
    hint = (
        "US dollars, of every request to an endpoint. Where a server did not say what a request took, its usage is "
        "estimated from the texts; where nobody knows a price, the cost is unknown. Neither is ever 0. Models that a "
        "worker loads cost nothing here."
    )
    return Section(id="costs-section", heading="Costs", hint=hint, form=form, empty="" if cells else NONE_YET)


_VIEWS: tuple[tuple[str, str, Callable[[LedgerCell], str]], ...] = (
    ("model", "By model", lambda cell: cell.model if cell.asked_as is None else f"{cell.model} for {cell.asked_as}"),
    ("endpoint", "By endpoint", lambda cell: cell.endpoint),
    ("run", "By run", lambda cell: cell.run),
    ("day", "By day", lambda cell: cell.day),
)


def _by(name: str, heading: str, cells: list[LedgerCell], key: Callable[[LedgerCell], str]) -> Section:
    sums = sums_by(cells, key)
    order = sorted(sums, reverse=True) if name == "day" else sorted(sums, key=lambda each: -sums[each].usd)
    rows = ((_named(name, each), *_spent(sums[each])) for each in order)
    return Section(id=f"by-{name}-section", heading=heading, table=made_table(f"by-{name}", (name, *SPENT), rows))


def _named(view: str, name: str) -> Cell | str:
    is_run = view == "run" and " " not in name  # what several runs are called together has spaces, a run's name none
    return linked(name, run_address(name)) if is_run else name


def _spent(total: LedgerSum) -> Iterator[Cell | str]:
    notes = []
    if total.open:
        notes.append(f"{usd_text(total.reserved_usd)} reserved")
    if total.unpriced:
        notes.append(f"{whole_number(total.unpriced)} unknown")
    yield Cell(text=total.text, note=", ".join(notes), alert=total.unpriced > 0)
    yield whole_number(total.requests)
    estimated = f"{whole_number(total.estimated)} requests estimated" if total.estimated else ""
    yield Cell(text=whole_number(total.prompt_tokens), note=estimated)
    yield whole_number(total.reply_tokens)


def _month(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


ENDPOINT_BUDGETS = ("endpoint", "budget>", "spent>", "left>", "state")


def _endpoint_budgets(
    known: Mapping[str, RemoteEndpoint], spent: Mapping[str, LedgerSum], paused: Mapping[str, str]
) -> Table | None:
    rows = []
    for name, endpoint in sorted(known.items()):
        if endpoint.budget is not None:
            total = spent.get(name, LedgerSum())
            state = Cell(text="paused", note=paused[name], alert=True) if name in paused else "takes requests"
            rows.append((name, *_budget(endpoint.budget, total), state))
    return made_table("endpoint-budgets", ENDPOINT_BUDGETS, rows)


RUN_BUDGETS = ("run", "budget>", "spent>", "left>", "state")


def _run_budget(run: BudgetedRun) -> tuple[Cell | str, ...]:
    state = Cell(text=run.status, note=run.reached or "", alert=run.reached is not None)
    return (linked(run.name, run_address(run.name)), *_budget(run.budget, run.total), state)


def _budget(budget: float, total: LedgerSum) -> Iterator[Cell | str]:
    """The budget, what is spent or reserved, what is left; unknown prices leave a lower bound and no rest."""
    yield usd_text(budget)
    reserved = f"{usd_text(total.reserved_usd)} of it reserved" if total.open else ""
    yield Cell(text=total.text if total.requests else usd_text(0.0), note=reserved)
    left = budget - total.usd
    yield "unknown" if total.unpriced else Cell(text=usd_text(max(left, 0.0)), alert=left <= 0)


POLICIES = ("policy", "state", "candidates", "covers", "held-out check", "evidence")


async def _policy(policy: RoutingPolicy, visit: Visit, now: datetime) -> tuple[Cell | str, ...]:
    said = policy.validation
    stale = await read_stale(policy, now, visit.site.database)
    better = None if said is None else "beats the mix" if said.beats_mix else "not shown to beat the mix"
    return (
        linked(policy.id, policy_path(policy)),
        "active" if policy.active else ABSENT,
        Cell(text=", ".join(policy.candidates), note=f"default {policy.default}"),
        coverage(policy),
        Cell(text=better or ABSENT, alert=said is not None and not said.beats_mix),
        Cell(text="stale", note="; ".join(stale), alert=True) if stale else Cell(text="as it was"),
    )


async def _savings_section(visit: Visit, policies: list[RoutingPolicy]) -> Section:
    """Of conversations in runs by their policies, and of live requests by the reference model: two questions, so that
    they are never added up.
    """
    found = await read_savings(policies, visit.site.database)
    rows = [(policy, whole_number(count), saved.text, saved.words) for policy, count, saved in found]
    if answered := visit.site.meters.answers.requests:
        live = await site_savings(visit.site)
        rows.append(("live requests", whole_number(answered), live.text, live.assumption))
        kept = visit.site.meters.totals.saved_usd
        if kept is not None:
            cached = whole_number(visit.site.meters.totals.cached)
            rows.append(("of these from the cache", cached, usd_text(kept), "What they cost when they were computed."))
    return Section(
        id="savings-section",
        heading="Savings",
        hint="US dollars at endpoints, with a 95 % interval: of conversations in runs against their policy's default, "
        "of live requests since this server started against the reference model.",
        table=made_table("savings", ("of", "answered>", "saved>", "how that is meant"), rows),
        empty="No run has asked a policy yet (`nightjar enqueue --suite SUITE --model router:NAME` does), and this "
        "server has answered no live request.",
    )


ROUTES = (page("/costs", "sheet.html", Sheet, build_costs),)
