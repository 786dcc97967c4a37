"""Who answers a request, and why: used for live requests and for checking a policy alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nightjar.jobs.policies import PolicyKind, RoutingPolicy, TagRule, fallbacks

NOT_LEARNT = "alias, not learnt"


@dataclass(frozen=True, kw_only=True)
class Routed:
    """Whom to ask, in order, and why the first is first."""

    models: tuple[str, ...]
    reason: str


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


def route(
    policy: RoutingPolicy,
    tags: Sequence[str],
    *,
    served: AbstractSet[str],
    allowed: AbstractSet[str],
    chosen: tuple[str, str] | None = None,
) -> Routed:
    """Whom a request goes to. `served`: models that a worker holds; `allowed`: those that may be asked at all.

    `chosen`: whom its nearest prompts say, and why, where the policy goes by them.

    A model that nobody serves comes after those that somebody does, and is still asked where they fail.
    """
    if policy.kind is PolicyKind.ALIAS:
        first, reason = policy.candidates[0], NOT_LEARNT
    elif policy.nearest is not None:
        first, reason = chosen or (policy.default, "default: nobody looked for its nearest prompts")
    else:
        first, reason = choose_by_tags(policy.rules, policy.default, tags)
    order = [model for model in fallbacks(policy, first) if model in allowed]
    ready = [model for model in order if model in served]
    models = (*ready, *(model for model in order if model not in ready))
    if models and models[0] != first:
        why = "may not be asked" if first not in allowed else "is not served now"
        reason = f"{reason}; {first} {why}"
    return Routed(models=models, reason=reason)
