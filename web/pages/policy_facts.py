"""What pages read about a policy: whether its evidence is stale, and what it has saved."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import published
from nightjar.jobs.routing.policies import RoutingPolicy
from nightjar.jobs.status.ledger import known_costs, paid_elsewhere, routed_conversations
from nightjar.pipeline.routing.run_savings import RunSavings, SavingsEvidence, run_savings
from nightjar.pipeline.routing.words import stale_words
from nightjar.web.pages.words import path_to


def policy_path(policy: RoutingPolicy, *parts: str, **query: str) -> str:
    """The page of a version."""
    return path_to("policies", policy.id, *parts, **query)


async def read_stale(policy: RoutingPolicy, now: datetime, database: Database) -> list[str]:
    """Why its evidence may no longer hold."""
    runs = await Run.find({"_id": {"$in": policy.runs}}).to_list() if policy.runs else []
    then = {model.name: model.digest for run in runs for model in run.models}
    today = {name: model.facts.digest for name, model in (await published(policy.candidates, database)).items()}
    return stale_words(policy, now, runs=[run.id for run in runs], then=then, today=today)


async def read_savings(policies: Iterable[RoutingPolicy], database: Database) -> list[tuple[str, int, RunSavings]]:
    """(policy's id, conversations, what it saved) of those that runs have asked."""
    counts = await routed_conversations(database)
    found = []
    for policy in policies:
        mine = {(run, model): jobs for (of, run, model), jobs in counts.items() if of == policy.id}
        if not mine:
            continue
        runs = sorted({run for run, _ in mine})
        paid = await paid_elsewhere(policy.id, runs, policy.default, database)
        known = await known_costs(policy.default, [*runs, *policy.runs], database)
        evidence = SavingsEvidence(
            default=policy.default,
            elsewhere=sum(jobs for (_, model), jobs in mine.items() if model != policy.default),
            paid_usd=None if paid.unpriced else paid.usd,
            known=0 if known is None else known.conversations,
            mean_usd=0.0 if known is None else known.mean,
            deviation_usd=None if known is None else known.deviation,
        )
        found.append((policy.id, sum(mine.values()), run_savings(evidence)))
    return found
