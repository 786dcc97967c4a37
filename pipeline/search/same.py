"""Which sequences of two suites are the same: equal by content, or nearly equal by meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.search.rank import best_matches

MOST_SEQUENCES = 2_000
"""Of a suite: the small embedder takes them all at once."""


@dataclass(frozen=True, kw_only=True)
class SameSequences:
    """Two sequences that are the same. `similarity`: cosine; None where their content is equal."""

    ours: str
    theirs: str
    similarity: float | None


async def same_sequences(
    ours: Sequence[PromptSequence], theirs: Sequence[PromptSequence], least: float, embedder: TextEmbedder
) -> list[SameSequences]:
    """The pairs, equal ones first, then the nearest; each sequence is in one pair at most.

    Raises UsageError for suites that are too large, and as the embedder does.
    """
    largest = max(len(ours), len(theirs))
    if largest > MOST_SEQUENCES:
        raise UsageError(f"A suite has {largest:,} sequences; suites of up to {MOST_SEQUENCES:,} can be compared.")
    by_digest: Mapping[str, str] = {sequence.digest: sequence.id for sequence in reversed(theirs)}
    pairs: list[SameSequences] = []
    for sequence in ours:
        if (other := by_digest.get(sequence.digest)) is not None:
            pairs.append(SameSequences(ours=sequence.id, theirs=other, similarity=None))
    equal = {pair.ours for pair in pairs}, {pair.theirs for pair in pairs}
    left = [sequence for sequence in ours if sequence.id not in equal[0]]
    others = [sequence for sequence in theirs if sequence.id not in equal[1]]
    vectors = await embedder.embed([_text(sequence) for sequence in (*left, *others)])
    for row, other_row, cosine in best_matches(vectors[: len(left)], vectors[len(left) :], least):
        near = SameSequences(ours=left[row].id, theirs=others[other_row].id, similarity=round(min(cosine, 1.0), 4))
        pairs.append(near)
    return pairs


def _text(sequence: PromptSequence) -> str:
    """What of a sequence is compared: system prompt and prompts with their documents."""
    prompts = (sequence.prompt_text(turn) for turn in range(len(sequence.turns)))
    return "\n\n".join([*([sequence.system] if sequence.system else []), *prompts])
