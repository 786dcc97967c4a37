"""What `nightjar router` calls: learn a policy from runs and store it, validate it on others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.published import published
from nightjar.jobs.routing.evidence import routing_evidence_of, store_routing_evidence
from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy, Validation, store_policy
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.routing.learn import learn_rules
from nightjar.pipeline.routing.learn_nearest import NEIGHBOURS, learn_nearest, validate_nearest
from nightjar.pipeline.routing.nearest import NearestPrompts, check_policy_embedder, prompts_of
from nightjar.pipeline.routing.read_evidence import Evidence, evidence_of
from nightjar.pipeline.routing.read_vectors import prompt_vectors
from nightjar.pipeline.routing.validate import split_evidence, validate_rules


@dataclass(frozen=True, kw_only=True)
class NearestBy:
    """In whose space prompts are near, and how many of the nearest count."""

    embedder: TextEmbedder
    neighbours: int = NEIGHBOURS


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
    nearest: NearestBy | None = None,
) -> RoutingPolicy:
    """A new version of the policy, not active yet: learnt from two thirds of the sequences, checked on the others.

    `margin`: as a share of the metric's scale. `nearest`: learnt by nearest prompts; None: by tags. Raises UsageError,
    and as the embedder does.
    """
    evidence = await read_evidence(runs, database, metric=metric, default=default, margin=margin)
    return await learn_from_evidence(name, evidence, database, margin=margin, nearest=nearest)


async def learn_from_evidence(
    name: str, evidence: Evidence, database: Database, *, margin: float, nearest: NearestBy | None
) -> RoutingPolicy:
    """See `learn_policy`."""
    if not evidence.sequences:
        raise UsageError("No sequence of these runs was answered by all of their models, so nothing can be learnt.")
    learning, held_out = split_evidence(evidence.sequences)
    candidates = evidence.candidates
    rules, rule = [], None
    if nearest is None:
        rules = learn_rules(learning, candidates)
        validation = validate_rules(rules, held_out, candidates, evidence.usd)
    else:
        vectors = await prompt_vectors([each.prompt for each in learning], nearest.embedder, database)
        learnt = learn_nearest(learning, vectors, candidates, nearest.embedder.facts, nearest.neighbours)
        await store_routing_evidence(learnt.outcomes, database)
        rule, prompts = learnt.rule, prompts_of(learnt.rule, learnt.outcomes, candidates.default)
        held_vectors = await prompt_vectors([each.prompt for each in held_out], nearest.embedder, database)
        validation = validate_nearest(prompts, held_out, held_vectors, evidence)
    policy = RoutingPolicy(
        id="",
        kind=PolicyKind.ROUTER,
        name=name,
        version=0,
        candidates=list(candidates.names),
        default=candidates.default,
        rules=rules,
        nearest=rule,
        metric=evidence.metric,
        margin=margin,
        runs=list(evidence.runs),
        validation=validation,
        created_at=utc_now(),
    )
    return await store_policy(policy, database)


async def nearest_prompts(policy: RoutingPolicy) -> NearestPrompts:
    """The policy's evidence, ready to be asked. Raises UsageError."""
    evidence = await routing_evidence_of(policy)
    assert policy.nearest is not None
    return await asyncio.to_thread(prompts_of, policy.nearest, evidence, policy.default)


async def validate_policy(
    policy: RoutingPolicy, runs: Sequence[Run], database: Database, embedder: TextEmbedder | None = None
) -> Validation | None:
    """The policy on all sequences of runs that it was not learnt from. `embedder`: for one by nearest prompts.

    Raises UsageError, and as the embedder does.
    """
    if policy.kind is PolicyKind.ALIAS:
        raise UsageError(f"{policy.address} was written by hand: there is nothing learnt that could be checked.")
    if known := [run.name for run in runs if run.id in policy.runs]:
        raise UsageError(f"{policy.address} was learnt from {known[0]}, which therefore says nothing new of it.")
    margin = policy.margin or 0.0
    evidence = await read_evidence(runs, database, metric=policy.metric, default=policy.default, margin=margin)
    if set(evidence.candidates.names) != set(policy.candidates):
        raise UsageError(f"These runs have other models than {policy.address}: {', '.join(policy.candidates)}.")
    if policy.nearest is None:
        return validate_rules(policy.rules, evidence.sequences, evidence.candidates, evidence.usd)
    assert embedder is not None, "a policy by nearest prompts needs vectors"
    check_policy_embedder(policy, embedder.facts)
    vectors = await prompt_vectors([each.prompt for each in evidence.sequences], embedder, database)
    return validate_nearest(await nearest_prompts(policy), evidence.sequences, vectors, evidence)


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
