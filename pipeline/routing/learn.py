"""Rules from evidence: for each tag the cheapest candidate that is not worse than others by a margin. Pure.

"Not worse" is non-inferiority on paired sequences: the one-sided 95 % lower bound of the mean difference to each of the
others must lie above minus the margin, also where it looks like the best: that may be luck. The bound is Student's t
over the pairs and one more that came out as badly as the scale allows: scores are often whole numbers, whose variance
few pairs do not show, and the plain bound then errs far more often than in 5 % of such samples (docs/remote.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from nightjar.config.counting import how_many
from nightjar.jobs.routing.policies import TagRule
from nightjar.pipeline.routing.nearest import bound_with

LEAST_PAIRS = 20
"""Fewer say nothing."""
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class SequenceEvidence:
    """One sequence that every candidate answered. `scores`: by candidate, higher is better; `tags` and `prompt`: what a
    request for it would show."""

    id: str
    tags: tuple[str, ...]
    scores: Mapping[str, float]
    prompt: str = ""
    """What its conversation begins with."""


@dataclass(frozen=True, kw_only=True)
class RouteCandidates:
    """Whom a policy chooses among. `names`: the cheapest first. `default`: who answers what is not known.

    `span`: from the worst to the best value of the metric.
    """

    names: tuple[str, ...]
    default: str
    margin: float
    span: float = 1.0


def learn_rules(evidence: Sequence[SequenceEvidence], candidates: RouteCandidates) -> list[TagRule]:
    """A rule for every tag, by name."""
    tags = sorted({tag for sequence in evidence for tag in sequence.tags})
    return [learn_tag(tag, [each for each in evidence if tag in each.tags], candidates) for tag in tags]


def learn_tag(tag: str, evidence: Sequence[SequenceEvidence], candidates: RouteCandidates) -> TagRule:
    """Who may answer a tag, from its sequences."""
    means = {name: _mean(each.scores[name] for each in evidence) for name in candidates.names}
    best = max(candidates.names, key=lambda name: (means[name], -candidates.names.index(name)))
    pairs = len(evidence)
    if pairs < LEAST_PAIRS:
        reason = f"unknown: {how_many(pairs, 'sequence')}, and fewer than {LEAST_PAIRS} say nothing"
        return TagRule(tag=tag, model=None, best=best, pairs=pairs, reason=reason)
    for name in candidates.names:
        bound = min(
            lower_bound([each.scores[name] - each.scores[other] for each in evidence], candidates.span)
            for other in candidates.names
            if other != name
        )
        if bound > -candidates.margin:
            said = "the best of them" if name == best else f"not worse than {best} by more than {candidates.margin:g}"
            return TagRule(
                tag=tag,
                model=name,
                best=best,
                pairs=pairs,
                difference=means[name] - means[best],
                bound=bound,
                reason=f"{name} is {said}, at 95 %",
            )
    reason = f"unknown: {pairs} sequences do not tell which is good enough"
    return TagRule(tag=tag, model=None, best=best, pairs=pairs, reason=reason)


def lower_bound(differences: Sequence[float], span: float) -> float:
    """The one-sided 95 % lower bound of a mean of paired differences, each between -span and span."""
    return bound_with(differences, span, quantile(len(differences)))


def quantile(pairs: int) -> float:
    """Student's t for the bound over so many pairs: the one more that it adds counts."""
    return float(stats.t.ppf(CONFIDENCE, pairs))


def quantiles(least: int, most: int) -> list[float]:
    """The same for every number of pairs from one to the other."""
    return [float(value) for value in stats.t.ppf(CONFIDENCE, range(least, most + 1))]


def _mean(values: Iterable[float]) -> float:
    there = list(values)
    return math.fsum(there) / len(there) if there else math.nan
