"""Who answers a request by its nearest prompts among those that every candidate answered. Pure.

What holds for a tag's sequences (`learn.py`) holds here for the nearest prompts: the cheapest candidate whose paired
difference to each of the others has its one-sided 95 % lower bound above minus the margin. Which prompts count depends
on texts alone, never on scores, so that the bound keeps its level: the nearest ones, as far as they lie nearer to the
request's own nearest than to what is unrelated. Prompts of another sort may be among them all the same; so the nearest
of all have a word of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.routing.evidence import PromptOutcomes
from nightjar.jobs.routing.policies import NearestRule, RoutingPolicy
from nightjar.jobs.sequences import FixedMessage, MessageRole

if TYPE_CHECKING:
    import numpy.typing as npt

    from nightjar.jobs.search.text_embedder import Vectors

DECIMALS = 4
"""Of a cosine, that count: what the arithmetic of two machines leaves open decides nothing."""
NEAR_SHARE = 0.9
"""Of the evidence's prompts, by whose distances it is said what is near."""
UNRELATED_SHARE = 0.1
"""Of all pairs of prompts: the least alike."""
KNOWN_FROM = 0.75
"""On the way from unrelated to as near as the evidence's prompts are to each other: from here on a request is like
them."""
CLOSEST = 5
"""Prompts from whose distance it is said how far others may lie: half-way to what is unrelated."""
BLOCK = 1_000
"""Prompts that are held against all others at once."""


@dataclass(frozen=True, kw_only=True)
class NearestPrompts:
    """A policy's evidence, ready to be asked. `candidates`: the cheapest first, as the columns of `scores` stand."""

    rule: NearestRule
    candidates: tuple[str, ...]
    default: str
    vectors: Vectors
    scores: npt.NDArray[np.float64]


def prompts_of(rule: NearestRule, outcomes: PromptOutcomes, default: str) -> NearestPrompts:
    """The evidence, ready to be asked."""
    return NearestPrompts(
        rule=rule,
        candidates=outcomes.candidates,
        default=default,
        vectors=read_form(outcomes.vectors, outcomes.width),
        scores=np.asarray(outcomes.scores, dtype=np.float64).reshape(len(outcomes.sequences), -1),
    )


def check_policy_embedder(policy: RoutingPolicy, embedder: ModelFacts) -> None:
    """Raises UsageError where the policy's vectors were made by another model than this."""
    rule = policy.nearest
    if rule is not None and rule.embedder_digest != embedder.digest:
        raise UsageError(
            f"{policy.address}@{policy.version} was learnt with the embedding model {rule.embedder} "
            f"({rule.embedder_digest[:12]}), and `memory_model` is {embedder.name} ({embedder.digest[:12]}) here: "
            f"their vectors mean nothing to each other. Set `memory_model` to that one, or learn a new version: "
            f"`nightjar router learn {policy.name} --by nearest`."
        )


def opening_prompt(messages: Sequence[FixedMessage], prompt: str) -> str:
    """What a conversation begins with: by it all of its requests are routed alike, and sequences were compared whole.

    `prompt`: the first after `messages`.
    """
    said = (message.text.strip() for message in messages if message.role is MessageRole.USER)
    return next(filter(None, said), prompt.strip() or prompt)


def stored_form(vectors: Vectors) -> bytes:
    """Vectors as they are kept."""
    return vectors.astype("<f2").tobytes()


def read_form(stored: bytes, width: int) -> Vectors:
    """Unit vectors from what is kept."""
    vectors = np.frombuffer(stored, "<f2").reshape(-1, width).astype(np.float32)
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit


def distances(vectors: Vectors, least_pairs: int) -> tuple[float, float]:
    """(near, unrelated) of `NearestRule`, from the prompts themselves: the cosine that nine of ten of them have to
    `least_pairs` others, and that of the least alike pairs.

    Near is more than any cosine where there are not so many others.
    """
    if len(vectors) <= least_pairs:
        return 2.0, 0.0
    nth, step = [], -(-len(vectors) // BLOCK)
    unrelated = float(np.quantile(vectors[::step] @ vectors[::step].T, UNRELATED_SHARE))
    for start in range(0, len(vectors), BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors.T
        column = -least_pairs - 1  # each is the nearest to itself
        nth.append(np.partition(cosines, column, axis=1)[:, column])
    usual = float(np.quantile(np.concatenate(nth), 1 - NEAR_SHARE))
    return round(unrelated + KNOWN_FROM * (usual - unrelated), DECIMALS), round(unrelated, DECIMALS)


def choose_by_nearest(prompts: NearestPrompts, vector: npt.NDArray[np.float32]) -> tuple[str, str]:
    """(model, reason) for a request's vector: the default where too few prompts are near or they do not tell."""
    rule, near = prompts.rule, _near(prompts, vector)
    if len(near) < rule.least_pairs:
        said = f"{how_many(len(near), 'prompt')} of the evidence near, and fewer than {rule.least_pairs} say nothing"
        return prompts.default, f"default: unknown: {said}"
    scores = prompts.scores[near]
    means = scores.mean(axis=0)
    best = prompts.candidates[int(np.argmax(means))]
    for column, name in enumerate(prompts.candidates):
        others = [scores[:, column] - scores[:, other] for other in range(scores.shape[1]) if other != column]
        if all(_not_worse(differences, rule) for differences in others):
            said = "the best of them" if name == best else f"not worse than {best} by more than {rule.margin:g}"
            return name, f"nearest {len(near)} prompts: {name} is {said}, at 95 %"
    return prompts.default, f"default: unknown: the nearest {len(near)} prompts do not tell which is good enough"


def knows(prompts: NearestPrompts, vector: npt.NDArray[np.float32]) -> bool:
    """Whether enough prompts are near."""
    return len(_near(prompts, vector)) >= prompts.rule.least_pairs


def _near(prompts: NearestPrompts, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """The prompts that count, nearest first, of equally near ones the earlier; fewer than `least_pairs` where the
    request is like none of them."""
    rule = prompts.rule
    cosines = np.round((prompts.vectors @ vector.astype(np.float32)).astype(np.float64), DECIMALS)
    order: npt.NDArray[np.intp] = np.argsort(-cosines, kind="stable")[: rule.neighbours]
    ranked = cosines[order]
    if len(order) < rule.least_pairs or ranked[rule.least_pairs - 1] < rule.near:
        return order[: rule.least_pairs - 1][ranked[: rule.least_pairs - 1] >= rule.near]
    return order[ranked >= (float(ranked[:CLOSEST].mean()) + rule.unrelated) / 2]


def _not_worse(differences: npt.NDArray[np.float64], rule: NearestRule) -> bool:
    """By the bound over all of them; and the nearest must not speak against it: where they lie below the margin by more
    than a standard error, those further off are of another sort."""
    bound = bound_with(differences, rule.span, rule.quantiles[len(differences) - rule.least_pairs])
    nearest = differences[: rule.least_pairs]
    hoped = float(nearest.mean()) + float(nearest.std(ddof=1)) / math.sqrt(len(nearest))
    return bound > -rule.margin and hoped > -rule.margin


def bound_with(differences: npt.NDArray[np.float64] | Sequence[float], span: float, quantile: float) -> float:
    """The lower bound of a mean of paired differences, each between -span and span: Student's t over them and one more
    that came out as badly as the scale allows."""
    values = np.append(np.asarray(differences, dtype=float), -span)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - quantile * error
