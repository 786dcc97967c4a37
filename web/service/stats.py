"""`/stats`: what this server answered since it started, what that cost, and what it would have cost elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route
from nightjar.web.savings import site_savings
from nightjar.web.site import Site, site_of


async def stats(request: Request) -> JSONResponse:
    """Of this server since it started. What is not known is null, and so is what nobody has asked for yet."""
    site = site_of(request)
    saved = await site_savings(site)
    totals, answers = site.meters.totals, site.meters.answers
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
