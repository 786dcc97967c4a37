"""Policies by nearest prompts as models of a run: what each sequence begins with is embedded once, before the run is
written. Whom it goes to is frozen with the policy, so that whoever writes the jobs needs no embedder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightjar.config.errors import EngineError, ModelError, UsageError
from nightjar.jobs.documents import SequenceDocument, SequenceRef
from nightjar.jobs.mongo import Database
from nightjar.jobs.routing.evidence import routing_evidence_of
from nightjar.jobs.routing.policies import NearestRule, RoutingPolicy
from nightjar.jobs.routing.routed import NearestChoices
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.pipeline.routing.nearest import (
    NearestPrompts,
    check_policy_embedder,
    choose_by_nearest,
    opening_prompt,
    prompts_of,
    read_form,
    stored_form,
)
from nightjar.pipeline.routing.read_vectors import prompt_vectors

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors


async def nearest_choices(
    policy: RoutingPolicy,
    rule: NearestRule,
    sequences: Sequence[SequenceRef],
    database: Database,
    embedder: EmbedderOpener | None,
) -> NearestChoices:
    """Whom the policy's nearest prompts say for each of the sequences, by what a live request would show first.

    `embedder`: opens this host's small one; None: it has none. Raises UsageError where there is none or it is another
    one than the policy's, ModelError or EngineError where it does not answer, and as opening it does.
    """
    if embedder is None:
        raise UsageError(
            f"{policy.id} goes by the nearest prompts, so that what each sequence begins with must be embedded, and "
            f"`memory_model` is not set here. Set it to {rule.embedder} ({rule.embedder_digest[:12]}), with which the "
            "policy was learnt, or name a policy that goes by tags."
        )
    evidence = await routing_evidence_of(policy)
    begins = await _begins_with(sequences)
    prompts = list(dict.fromkeys(begins))
    try:
        async with embedder(policy.id) as opened:
            check_policy_embedder(policy, opened.facts)
            vectors = await prompt_vectors(prompts, opened, database)
    except (ModelError, EngineError) as error:
        raise type(error)(
            f"{policy.id} goes by the nearest prompts, and what the sequences begin with cannot be embedded here: "
            f"{error} Until it can, name a policy that goes by tags."
        ) from None
    known = await asyncio.to_thread(prompts_of, rule, evidence, policy.default)
    chosen = dict(zip(prompts, await asyncio.to_thread(_choose, known, vectors), strict=True))
    choices = list(dict.fromkeys(chosen.values()))
    numbers = {choice: number for number, choice in enumerate(choices)}
    return NearestChoices(
        embedder=rule.embedder_digest, choices=choices, numbers=[numbers[chosen[prompt]] for prompt in begins]
    )


async def _begins_with(sequences: Sequence[SequenceRef]) -> list[str]:
    documents = sorted({ref.document for ref in sequences})
    stored = {each.id: each.sequence for each in await SequenceDocument.find({"_id": {"$in": documents}}).to_list()}
    asked = [stored[ref.document] for ref in sequences]
    return [opening_prompt(sequence.messages, sequence.prompt_text(0)) for sequence in asked]


def _choose(known: NearestPrompts, vectors: Vectors) -> list[tuple[str, str]]:
    """In the form in which vectors are kept, so that it does not matter which of them a search had stored."""
    return [choose_by_nearest(known, vector) for vector in read_form(stored_form(vectors), vectors.shape[1])]
