"""Who answers a request, and why: used for live requests and for checking a policy alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from nightjar.jobs.policies import PolicyKind, RoutingPolicy, TagRule, fallbacks

NOT_LEARNT = "alias, not learnt"


class RouteKind(StrEnum):
    """Why the first is first, in a word."""

    ALIAS = "alias"
    TAG = "tag"
    DEFAULT = "default"
    UNSERVED = "not served"
    """Nobody serves the one that was chosen, or it may not be asked."""


@dataclass(frozen=True, kw_only=True)
class Routed:
    """Whom to ask, in order, and why the first is first."""

    models: tuple[str, ...]
    reason: str
    kind: RouteKind


def choose_by_tags(rules: Iterable[TagRule], default: str, tags: Sequence[str]) -> tuple[str, str]:
    """(model, reason): the rule of the first tag that has one; of several known tags the most cautious decides."""
    known = {rule.tag: rule for rule in rules}
    of_request = [known[tag] for tag in tags if tag in known]
    if not of_request:
        said = f"no rule for {', '.join(tags)}" if tags else "the request shows no tag"
        return default, f"default: {said}"
    for rule in of_request:
        if rule.model is None or rule.model == default:
            return default, f"tag {rule.tag}: {rule.reason}"
    first = of_request[0]
    assert first.model is not None
    return first.model, f"tag {first.tag}: {first.reason}"


def route(policy: RoutingPolicy, tags: Sequence[str], *, served: AbstractSet[str], allowed: AbstractSet[str]) -> Routed:
    """Whom a request goes to. `served`: models that a worker holds; `allowed`: those that may be asked at all.

    A model that nobody serves comes after those that somebody does, and is still asked where they fail.
    """
    if policy.kind is PolicyKind.ALIAS:
        first, reason, kind = policy.candidates[0], NOT_LEARNT, RouteKind.ALIAS
    else:
        first, reason = choose_by_tags(policy.rules, policy.default, tags)
        kind = RouteKind.DEFAULT if reason.startswith("default") else RouteKind.TAG
    order = [model for model in fallbacks(policy, first) if model in allowed]
    ready = [model for model in order if model in served]
    models = (*ready, *(model for model in order if model not in ready))
    if models and models[0] != first:
        why = "may not be asked" if first not in allowed else "is not served now"
        reason, kind = f"{reason}; {first} {why}", RouteKind.UNSERVED
    return Routed(models=models, reason=reason, kind=kind)
