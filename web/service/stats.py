"""`/stats`: what this server answered since it started, what that cost, and what it would have cost elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from nightjar.jobs.mongo import Database
from nightjar.jobs.paired_use import paired_use
from nightjar.jobs.published import published
from nightjar.jobs.remote_models import Price
from nightjar.pipeline.routing.savings import CostRatio, Savings, cost_ratio, savings
from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of

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
    """Of this server since it started."""
    reference = await savings_reference(site)
    if reference is None:
        return Savings(assumption=NO_REFERENCE)
    name, price = reference
    if price is None:
        return Savings(assumption=f"Nobody knows the price of {name}, the [money] reference_model.")
    ratio = await site.ratio.look(PATIENCE_S)
    given, paid, left_out = site.meters.answers.but_for(name)
    return savings(name, price, given, paid, ratio, left_out=left_out)


async def stats(request: Request) -> JSONResponse:
    """Of this server since it started. What is not known is null, and so is what nobody has asked for yet."""
    site = site_of(request)
    totals, answers, saved = site.meters.totals, site.meters.answers, await site_savings(site)
    counted = answers.requests > 0
    interval = None if saved.low_usd is None else [saved.low_usd, saved.high_usd]
    return JSONResponse(
        {
            "total_requests": totals.replies,
            "avg_latency_ms": round(1000 * totals.seconds / totals.computed, 3) if totals.computed else None,
            "total_tokens_generated": totals.reply_tokens,
            "estimated_gpt4_cost_usd": saved.counterfactual_usd if counted else None,
            "cost_savings_usd": saved.saved_usd if counted else None,
            "hit_rate": totals.cached / totals.looked_up if totals.looked_up else None,
            "cache_saved_usd": totals.saved_usd,
            "cost_savings_interval_usd": interval if counted else None,
            "cost_savings_assumption": saved.assumption,
            "reference_model": site.settings.money.reference_model,
            "cost_usd": answers.usd,
            "unpriced_requests": answers.unpriced,
            "share_local": answers.share_local,
            "fallbacks": dict(answers.fallbacks),
            "models": {name: _model(site, name) for name in sorted(answers.models)},
            "routed": _routed(site),
        }
    )


def _model(site: Site, name: str) -> dict[str, Any]:
    model = site.meters.answers.models[name]
    return {
        "remote": model.remote,
        "requests": model.requests,
        "cached": model.cached,
        "prompt_tokens": model.prompt_tokens,
        "reply_tokens": model.reply_tokens,
        "reasons": {
            reason: {"requests": count, "reply_tokens": model.tokens_by_reason[reason]}
            for reason, count in sorted(model.reasons.items())
        },
        "cost_usd": model.usd,
        "unpriced_requests": model.unpriced,
    }


def _routed(site: Site) -> list[dict[str, Any]]:
    ways = site.meters.answers.routed.items()
    rows = [
        {"policy": label.policy, "model": model, "reason": label.reason, **vars(totals)}
        for (label, model), totals in ways
    ]
    return sorted(rows, key=lambda row: (row["policy"], row["model"], row["reason"]))


ROUTES = (Route(method="GET", path="/stats", action=Action.GENERATE, answer=stats, documented=True),)
