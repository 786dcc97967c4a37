"""Policies as models of a run: what is frozen of them, and which candidate each sequence goes to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import Run, SequenceDocument, SequenceRef
from nightjar.jobs.models import ModelFacts, ModelSource
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import all_published, published
from nightjar.jobs.routing.policies import RoutingPolicy, is_routed, policy_of_run
from nightjar.jobs.routing.routed import FrozenPolicy, JobRoute, RouteStep
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.routing.route import CHARS_PER_TOKEN, CandidateHealth, RequestFeatures, Routed, route
from nightjar.pipeline.runs.nearest_choices import nearest_choices
from nightjar.pipeline.runs.remote_plan import planned_sequence
from nightjar.pipeline.runs.request import EnqueueRequest

Routes = Mapping[str, Mapping[str, Routed]]
"""Policy, as the run names it -> sequence -> whom its jobs go to."""


async def freeze_policies(
    request: EnqueueRequest, sequences: Sequence[SequenceRef], database: Database, embedder: EmbedderOpener | None
) -> dict[str, FrozenPolicy]:
    """The request's policies by the names it has for them; those by nearest prompts with what these say of `sequences`.

    Raises UnknownNameError for one, or a candidate, that nobody knows; UsageError where nobody may answer; as
    `nearest_choices` does.
    """
    policies, frozen = {}, {}
    for name in dict.fromkeys(filter(is_routed, request.models)):
        policies[name] = await policy_of_run(name)
        facts = await _facts_of(policies[name], database)
        frozen[name] = _frozen(policies[name], facts, local_only=request.local_only)
    _check_settings(request, frozen)
    for name, policy in policies.items():  # behind all other checks, since it may take a while
        if policy.nearest is not None:
            choices = await nearest_choices(policy, policy.nearest, sequences, database, embedder)
            frozen[name] = frozen[name].model_copy(update={"nearest": choices})
    return frozen


async def _facts_of(policy: RoutingPolicy, database: Database) -> dict[str, ModelFacts]:
    facts = {name: model.facts for name, model in (await published(policy.candidates, database)).items()}
    for name in policy.candidates:
        if name not in facts:
            everybody = [model.id for model in await all_published(database)]
            remedy = "Add it on the host that has it: `nightjar model add`; or name another policy."
            raise UnknownNameError("model", name, everybody, remedy, within=policy.id)
    return facts


def _frozen(policy: RoutingPolicy, facts: Mapping[str, ModelFacts], *, local_only: bool) -> FrozenPolicy:
    may_answer = [name for name in policy.candidates if not (local_only and facts[name].source is ModelSource.REMOTE)]
    if not may_answer:
        raise UsageError(
            f"--local-only leaves nobody who answers for {policy.id}: {', '.join(policy.candidates)} are all at "
            "endpoints. Leave it out, or name another policy."
        )
    contexts = {name: size for name in may_answer if (size := facts[name].most_context) is not None}
    return FrozenPolicy(
        id=policy.id,
        kind=policy.kind,
        version=policy.version,
        candidates=may_answer,
        default=policy.default,
        rules=policy.rules,
        contexts=contexts,
    )


def _check_settings(request: EnqueueRequest, frozen: Mapping[str, FrozenPolicy]) -> None:
    """`--set MODEL:key=value` is for a candidate: it has the same settings whoever it answers for."""
    candidates = [name for policy in frozen.values() for name in policy.candidates]
    plain = [name for name in request.models if name not in frozen]
    for name in request.set_model_parameters:
        if name in frozen:
            raise UsageError(
                f"--set {name}: sets nothing, since it is no model. Set it for those that answer: "
                f"{', '.join(frozen[name].candidates)}."
            )
        known = (*plain, *request.judges, *candidates)
        if name not in known:
            raise UnknownNameError("model in this run", name, known, "Check --set MODEL:key=value.")


def features_of(ref: SequenceRef, sequence: PromptSequence) -> RequestFeatures:
    """What a sequence shows of itself: the whole of it, as its conversation will hold it but for the replies."""
    planned = planned_sequence(sequence.model_dump())
    chars = planned.given_chars + sum(planned.prompt_chars)
    schema = any(asked.get("json_schema") is not None for asked in planned.asked)
    return RequestFeatures(tags=tuple(ref.tags), tokens=chars // CHARS_PER_TOKEN, schema=schema)


def routes_of(run: Run, features: Mapping[str, RequestFeatures]) -> Routes:
    """Whom each sequence goes to. Nothing of it depends on the moment: who cannot answer then hands its jobs on."""
    return {
        model.name: _routes(model.policy, run.sequences, features) for model in run.models if model.policy is not None
    }


def _routes(
    policy: FrozenPolicy, sequences: Sequence[str], features: Mapping[str, RequestFeatures]
) -> dict[str, Routed]:
    everybody = frozenset(policy.candidates)
    health = CandidateHealth(served=everybody, allowed=everybody, contexts=policy.contexts)
    nearest = policy.nearest.of(sequences) if policy.nearest is not None else {}
    return {name: route(policy, replace(shown, nearest=nearest.get(name)), health) for name, shown in features.items()}


async def read_routes(run: Run, sequences: Collection[SequenceRef]) -> Routes:
    """The same of stored sequences; empty for a run without policies."""
    if not run.candidates:
        return {}
    documents = sorted({ref.document for ref in sequences})
    stored = {each.id: each.sequence for each in await SequenceDocument.find({"_id": {"$in": documents}}).to_list()}
    return routes_of(run, {ref.id: features_of(ref, stored[ref.document]) for ref in sequences})


def job_routes(run: Run, routes: Routes, now: datetime) -> dict[str, dict[str, dict[str, Any]]]:
    """As jobs hold it: policy -> sequence -> `Job.routed`."""
    policies = {model.name: model.policy for model in run.models if model.policy is not None}
    return {
        name: {sequence: _job_route(name, policies[name].id, routed, now) for sequence, routed in of_policy.items()}
        for name, of_policy in routes.items()
    }


def _job_route(asked_as: str, policy: str, routed: Routed, now: datetime) -> dict[str, Any]:
    first, *others = routed.models
    step = RouteStep(model=first, reason=routed.reason, at=now)
    made = JobRoute(asked_as=asked_as, policy=policy, order=[first, *others], left=others, steps=[step])
    return made.model_dump(mode="python")


def shares_sentence(name: str, policy: FrozenPolicy, routed: Mapping[str, Routed]) -> str:
    """ "router:chat is router:chat@2: 12 sequences go to local, 8 sequences to cloud." """
    first = [each.models[0] for each in routed.values()]
    shares = [f"{how_many(first.count(model), 'sequence')} to {model}" for model in dict.fromkeys(first)]
    return f"{name} is {policy.id}: {', '.join(shares)}."


def check_local_only(facts: Sequence[ModelFacts]) -> None:
    """Raises UsageError where one of these models is at an endpoint."""
    remote = [model.name for model in facts if model.source is ModelSource.REMOTE]
    if remote:
        raise UsageError(
            f"--local-only forbids to send anything to an endpoint, and {', '.join(remote)} would be asked there. "
            "Leave out the one or the other."
        )
