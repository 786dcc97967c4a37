"""What a policy is worth on sequences that it was not learnt from. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nightjar.jobs.identity import digest
from nightjar.jobs.routing.policies import TagRule, Validation
from nightjar.pipeline.routing.learn import RouteCandidates, SequenceEvidence, lower_bound
from nightjar.pipeline.routing.route import choose_by_tags

HELD_OUT_OF = 3
"""One sequence in so many is held out."""


def split_evidence(
    evidence: Sequence[SequenceEvidence],
) -> tuple[list[SequenceEvidence], list[SequenceEvidence]]:
    """(to learn from, held out): by the sequences' names, so that the same evidence is always split alike."""
    held = [each for each in evidence if int(digest("held out", each.id)[:8], 16) % HELD_OUT_OF == 0]
    names = {each.id for each in held}
    return [each for each in evidence if each.id not in names], held


def validate_rules(
    rules: Sequence[TagRule],
    held_out: Sequence[SequenceEvidence],
    candidates: RouteCandidates,
    usd: Mapping[str, float | None],
) -> Validation | None:
    """What rules by tags are worth; see `validate_choices`."""
    chosen = [choose_by_tags(rules, candidates.default, each.tags)[0] for each in held_out]
    learnt = {rule.tag for rule in rules if rule.model is not None}
    covered = [not learnt.isdisjoint(each.tags) for each in held_out]
    return validate_choices(chosen, held_out, candidates, usd, covered)


def validate_choices(
    chosen: Sequence[str],
    held_out: Sequence[SequenceEvidence],
    candidates: RouteCandidates,
    usd: Mapping[str, float | None],
    covered: Sequence[bool],
) -> Validation | None:
    """Who was chosen for each sequence, against always the cheapest, always the default, and a random mix of equal
    shares; None without sequences.

    `usd`: what a conversation of each candidate costs; None where that is not known. `covered`: whether something was
    learnt for it.
    """
    if not held_out:
        return None
    count = len(held_out)
    shares = {name: chosen.count(name) / count for name in candidates.names}
    mixes = [math.fsum(shares[name] * each.scores[name] for name in candidates.names) for each in held_out]
    routed = [each.scores[name] for each, name in zip(held_out, chosen, strict=True)]
    gains = [mine - mix for mine, mix in zip(routed, mixes, strict=True)]
    cheapest = candidates.names[0]
    return Validation(
        sequences=count,
        share_cheapest=shares[cheapest],
        policy=math.fsum(routed) / count,
        cheapest=math.fsum(each.scores[cheapest] for each in held_out) / count,
        best=math.fsum(each.scores[candidates.default] for each in held_out) / count,
        mix=math.fsum(mixes) / count,
        beats_mix=count > 1 and lower_bound(gains, candidates.span) > 0,
        covered=sum(covered) / count,
        usd=_cost(chosen, usd),
        usd_best=usd.get(candidates.default),
    )


def _cost(chosen: Sequence[str], usd: Mapping[str, float | None]) -> float | None:
    costs = [usd.get(name) for name in chosen]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) / len(known) if len(known) == len(costs) else None
