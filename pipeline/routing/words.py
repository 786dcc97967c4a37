"""What a policy is worth and how old it is, in words; whether requests may go by it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from nightjar.config.counting import are, how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.routing.policies import NearestRule, PolicyKind, RoutingPolicy, Validation

STALE_DAYS = 30
"""Evidence that is older is told to be."""


def worth(said: Validation | None) -> str:
    """A validation in words."""
    if said is None:
        return "No sequence was held out, so that nothing is known of what it is worth."
    better = "better than" if said.beats_mix else "not shown to be better than"
    costs = ""
    if said.usd is not None and said.usd_best is not None:
        costs = (
            f" A conversation costs {usd_text(said.usd)}, and {usd_text(said.usd_best)} where the default answers all."
        )
    if said.covered is not None:
        costs += f" For {said.covered:.0%} of them something is known; the others go to the default."
    return (
        f"On {said.sequences} held-out sequences it scores {said.policy:.3f}: always the cheapest {said.cheapest:.3f}, "
        f"always the default {said.best:.3f}, a random mix of equal shares {said.mix:.3f}. It is {better} that mix; "
        f"{said.share_cheapest:.0%} go to the cheapest.{costs}"
    )


def saved_text(usd: float | None, low: float | None, high: float | None) -> str:
    """What was saved, with the ends of its interval where there is one."""
    if usd is None:
        return "unknown"
    if low is None or high is None:
        return f"{_signed(usd)}, no interval"
    return f"{_signed(usd)} ({_signed(low)} to {_signed(high)})"


def _signed(usd: float) -> str:
    return f"-{usd_text(-usd)}" if usd < 0 else usd_text(usd)


def coverage(policy: RoutingPolicy) -> str:
    """For how much something was learnt: of the tags, and of the sequences that were held out."""
    if policy.kind is PolicyKind.ALIAS:
        return "not learnt"
    if policy.nearest is not None:
        learnt = how_many(policy.nearest.prompts, "prompt")
    else:
        known = sum(rule.model is not None for rule in policy.rules)
        learnt = f"{known} of {how_many(len(policy.rules), 'tag')}"
    shown = policy.validation.covered if policy.validation is not None else None
    return learnt if shown is None else f"{learnt}, {shown:.0%} of the held-out sequences"


def nearest_words(rule: NearestRule) -> str:
    """How a policy by nearest prompts decides."""
    return (
        f"By the nearest {rule.neighbours} of {rule.prompts} prompts, as {rule.embedder} ({rule.embedder_digest[:12]}) "
        f"sees them. A request without {rule.least_pairs} prompts of a cosine of at least {rule.near:.2f} goes to the "
        "default."
    )


def needs_force(policy: RoutingPolicy) -> bool:
    """Whether it was learnt and is not shown to be better than a random mix of the same shares."""
    return policy.kind is PolicyKind.ROUTER and (policy.validation is None or not policy.validation.beats_mix)


def check_worth(policy: RoutingPolicy, *, force: bool, remedy: str) -> None:
    """Raises UsageError where requests had better not go by it."""
    if needs_force(policy) and not force:
        raise UsageError(f"{policy.id}: {worth(policy.validation)} {remedy}")


def stale_words(
    policy: RoutingPolicy,
    now: datetime,
    *,
    runs: Collection[str],
    then: Mapping[str, str | None],
    today: Mapping[str, str],
) -> list[str]:
    """Why its evidence may no longer hold; empty where nothing speaks against it, and for an alias.

    `runs`: those of its runs that are still there; `then`: the files of its candidates in them; `today`: as published.
    """
    reasons = [f"nobody has published {name} any more" for name in policy.candidates if name not in today]
    if policy.kind is PolicyKind.ALIAS:
        return reasons
    days = (now - policy.created_at).days
    if days > STALE_DAYS:
        reasons.append(f"it was learnt {how_many(days, 'day')} ago")
    if gone := len(set(policy.runs) - set(runs)):
        reasons.append(f"{gone} of the {how_many(len(policy.runs), 'run')} that it was learnt from {are(gone)} gone")
    changed = [name for name in policy.candidates if then.get(name) and name in today and then[name] != today[name]]
    reasons += [f"{name} is another file, or another model, than it was" for name in changed]
    return reasons
