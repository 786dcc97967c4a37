"""What `nightjar router` calls: learn a policy from runs and store it, validate it on others."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.config.errors import UsageError
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run, utc_now
from nightjar.jobs.policies import PolicyKind, RoutingPolicy, Validation, store_policy
from nightjar.jobs.published import published
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.routing.learn import learn_rules
from nightjar.pipeline.routing.read_evidence import Evidence, evidence_of
from nightjar.pipeline.routing.validate import split_evidence, validate_rules


async def read_evidence(
    runs: Sequence[Run], database: Database, *, metric: str | None, default: str | None, margin: float
) -> Evidence:
    """What the runs say of their models. Raises UsageError."""
    reports = [await collect(run.id, database) for run in runs]
    return evidence_of(reports, metric=metric, default=default, margin=margin)


async def learn_policy(
    name: str,
    runs: Sequence[Run],
    database: Database,
    *,
    metric: str | None = None,
    default: str | None = None,
    margin: float = 0.05,
) -> RoutingPolicy:
    """A new version of the policy, not active yet: learnt from two thirds of the sequences, checked on the others.

    `margin`: as a share of the metric's scale. Raises UsageError.
    """
    evidence = await read_evidence(runs, database, metric=metric, default=default, margin=margin)
    if not evidence.sequences:
        raise UsageError("No sequence of these runs was answered by all of their models, so nothing can be learnt.")
    learning, held_out = split_evidence(evidence.sequences)
    candidates = evidence.candidates
    rules = learn_rules(learning, candidates)
    policy = RoutingPolicy(
        id="",
        kind=PolicyKind.ROUTER,
        name=name,
        version=0,
        candidates=list(candidates.names),
        default=candidates.default,
        rules=rules,
        metric=evidence.metric,
        margin=margin,
        runs=list(evidence.runs),
        validation=validate_rules(rules, held_out, candidates, evidence.usd),
        created_at=utc_now(),
    )
    return await store_policy(policy, database)


async def validate_policy(policy: RoutingPolicy, runs: Sequence[Run], database: Database) -> Validation | None:
    """The policy on all sequences of runs that it was not learnt from. Raises UsageError."""
    if policy.kind is PolicyKind.ALIAS:
        raise UsageError(f"{policy.address} was written by hand: there is nothing learnt that could be checked.")
    if known := [run.name for run in runs if run.id in policy.runs]:
        raise UsageError(f"{policy.address} was learnt from {known[0]}, which therefore says nothing new of it.")
    margin = policy.margin or 0.0
    evidence = await read_evidence(runs, database, metric=policy.metric, default=policy.default, margin=margin)
    if set(evidence.candidates.names) != set(policy.candidates):
        raise UsageError(f"These runs have other models than {policy.address}: {', '.join(policy.candidates)}.")
    return validate_rules(policy.rules, evidence.sequences, evidence.candidates, evidence.usd)


async def write_alias(name: str, models: Sequence[str], database: Database) -> RoutingPolicy:
    """An ordered list that works at once. Raises UsageError for models that nobody has published."""
    known = await published(models, database)
    if missing := [model for model in models if model not in known]:
        raise UsageError(
            f"Nobody has published {', '.join(missing)}. Add it first (`nightjar model add`), or start its worker."
        )
    policy = RoutingPolicy(
        id="",
        kind=PolicyKind.ALIAS,
        name=name,
        version=0,
        candidates=list(dict.fromkeys(models)),
        default=models[0],
        created_at=utc_now(),
    )
    return await store_policy(policy, database)
