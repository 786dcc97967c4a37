"""A policy by nearest prompts, from judged sequences and the vectors of what they begin with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.config.errors import ModelError, UsageError
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.routing.evidence import PromptOutcomes
from nightjar.jobs.routing.policies import NearestRule, Validation
from nightjar.pipeline.routing.learn import LEAST_PAIRS, RouteCandidates, SequenceEvidence, quantiles
from nightjar.pipeline.routing.nearest import (
    NearestPrompts,
    choose_by_nearest,
    distances,
    knows,
    read_form,
    stored_form,
)
from nightjar.pipeline.routing.read_evidence import Evidence
from nightjar.pipeline.routing.validate import validate_choices

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

NEIGHBOURS = 100
"""The nearest prompts that count, where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class LearntNearest:
    """What is learnt, and what it is learnt from."""

    rule: NearestRule
    outcomes: PromptOutcomes


def learn_nearest(
    sequences: Sequence[SequenceEvidence],
    vectors: Vectors,
    candidates: RouteCandidates,
    embedder: ModelFacts,
    neighbours: int = NEIGHBOURS,
) -> LearntNearest:
    """From sequences and the vectors of their prompts, in one order. Raises UsageError, ModelError."""
    if neighbours < LEAST_PAIRS:
        raise UsageError(f"--neighbours is {neighbours}, and fewer than {LEAST_PAIRS} prompts say nothing.")
    if not np.isfinite(vectors).all():
        raise ModelError(f"The embedding model {embedder.name!r} gives vectors that are no numbers.")
    outcomes = PromptOutcomes(
        embedder=embedder.digest,
        width=vectors.shape[1],
        vectors=stored_form(vectors),
        candidates=candidates.names,
        sequences=tuple(each.id for each in sequences),
        scores=tuple(tuple(each.scores[name] for name in candidates.names) for each in sequences),
    )
    near, unrelated = distances(read_form(outcomes.vectors, outcomes.width), LEAST_PAIRS)
    rule = NearestRule(
        evidence=outcomes.digest,
        embedder=embedder.name,
        embedder_digest=embedder.digest,
        prompts=len(sequences),
        neighbours=neighbours,
        near=near,
        unrelated=unrelated,
        least_pairs=LEAST_PAIRS,
        margin=candidates.margin,
        span=candidates.span,
        quantiles=quantiles(LEAST_PAIRS, neighbours),
    )
    return LearntNearest(rule=rule, outcomes=outcomes)


def validate_nearest(
    prompts: NearestPrompts, held_out: Sequence[SequenceEvidence], vectors: Vectors, evidence: Evidence
) -> Validation | None:
    """What it is worth on sequences that it was not learnt from; `vectors` are theirs. None without sequences."""
    kept = read_form(stored_form(vectors), vectors.shape[1]) if held_out else vectors
    chosen = [choose_by_nearest(prompts, vector)[0] for vector in kept]
    covered = [knows(prompts, vector) for vector in kept]
    return validate_choices(chosen, held_out, evidence.candidates, evidence.usd, covered)
