"""Who answers a request, and why: used for live requests, for jobs of runs and for checking a policy alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy, TagRule, fallbacks
from nightjar.jobs.routing.routed import FrozenPolicy

NOT_LEARNT = "alias, not learnt"
SCHEMA_TAG = "json_schema"
"""The tag of whatever asks for a JSON Schema, though nobody gave it one."""
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class RequestFeatures:
    """What a request shows of itself before anybody has answered it."""

    tags: tuple[str, ...] = ()
    tokens: int | None = None
    """About; None: not known."""
    schema: bool = False
    nearest: tuple[str, str] | None = None
    """Whom its nearest prompts say, and why, where the policy goes by them."""

    @property
    def shown_tags(self) -> tuple[str, ...]:
        """Those that it was given, and the one of its form."""
        return tuple(dict.fromkeys((*self.tags, *([SCHEMA_TAG] if self.schema else []))))


@dataclass(frozen=True, kw_only=True)
class CandidateHealth:
    """Who can be asked. `served`: models that a worker holds; `allowed`: those that may be asked at all; `contexts`:
    how many tokens a model holds, where that is known.
    """

    served: AbstractSet[str]
    allowed: AbstractSet[str]
    contexts: Mapping[str, int] = field(default_factory=dict)

    def holds(self, model: str, tokens: int | None) -> bool:
        return tokens is None or model not in self.contexts or tokens < self.contexts[model]


class RouteKind(StrEnum):
    """Why the first is first, in a word."""

    ALIAS = "alias"
    TAG = "tag"
    NEAREST = "nearest prompts"
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


def route(policy: RoutingPolicy | FrozenPolicy, features: RequestFeatures, health: CandidateHealth) -> Routed:
    """Whom a request goes to.

    A model that it does not fit, or that nobody serves, comes after the others, and is still asked where they fail.
    """
    if policy.kind is PolicyKind.ALIAS:
        first, reason, kind = policy.candidates[0], NOT_LEARNT, RouteKind.ALIAS
    elif policy.nearest is not None:
        first, reason = features.nearest or (policy.default, "default: nobody looked for its nearest prompts")
        kind = RouteKind.DEFAULT if reason.startswith("default") else RouteKind.NEAREST
    else:
        first, reason = choose_by_tags(policy.rules, policy.default, features.shown_tags)
        kind = RouteKind.DEFAULT if reason.startswith("default") else RouteKind.TAG
    order = [model for model in fallbacks(policy, first) if model in health.allowed]
    fits = {model: health.holds(model, features.tokens) for model in order}
    models = tuple(sorted(order, key=lambda model: (not fits[model], model not in health.served)))
    if models and models[0] != first:
        if first not in health.allowed:
            why = "may not be asked"
        elif not fits[first]:
            why = f"does not hold the about {features.tokens} tokens of the request"
        else:
            why = "is not served now"
        reason, kind = f"{reason}; {first} {why}", RouteKind.UNSERVED
    return Routed(models=models, reason=reason, kind=kind)
