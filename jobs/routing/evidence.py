"""What a policy by nearest prompts was learnt from: the prompts' vectors, and what came of each for every candidate.

It is a document of its own, so that listing policies does not read it; and it keeps no text and no reference to one, so
that a policy decides the same after its runs were removed.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from nightjar.config.errors import UsageError
from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database, insert_absent
from nightjar.jobs.routing.policies import RoutingPolicy
from nightjar.jobs.stored import StoredDocument

MOST_BYTES = 12_000_000
"""Of the vectors; MongoDB's documents have 16 MiB at most."""


class PromptOutcomes(BaseModel):
    """Prompts that all candidates answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: str
    """Digest of the embedding model."""
    width: int
    vectors: bytes
    """Unit vectors, float16, little-endian, one after the other."""
    candidates: tuple[str, ...]
    sequences: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    """Of each sequence, by candidate; higher is better."""

    @property
    def digest(self) -> str:
        """Of all of it."""
        said = [self.candidates, self.sequences, self.scores]
        return digest("routing evidence", self.embedder, self.width, self.vectors.hex(), said)


class RoutingEvidence(StoredDocument):
    """Never changed; `_id` is the outcomes' digest."""

    id: str  # type: ignore[assignment]
    outcomes: PromptOutcomes

    class Settings:
        name = "routing_evidence"


async def store_routing_evidence(outcomes: PromptOutcomes, database: Database) -> None:
    """Stores it; the same evidence is there once. Raises UsageError where it is too much for a document."""
    if len(outcomes.vectors) > MOST_BYTES:
        raise UsageError(
            f"A policy by nearest prompts holds {MOST_BYTES // (2 * outcomes.width):,} prompts of this embedding "
            f"model, and these runs have {len(outcomes.sequences):,}. Learn from fewer runs."
        )
    row = {"_id": outcomes.digest, "outcomes": outcomes.model_dump(mode="python")}
    await insert_absent(database.raw["routing_evidence"], [row])


async def routing_evidence_of(policy: RoutingPolicy) -> PromptOutcomes:
    """What the policy was learnt from. Raises UsageError where it is not there, or the policy goes by tags."""
    if policy.nearest is None:
        raise UsageError(f"{policy.address} goes by tags: it has no prompts.")
    found = await RoutingEvidence.get(policy.nearest.evidence)
    if found is None:
        raise UsageError(
            f"The prompts of {policy.address}@{policy.version} are not in the database any more. "
            f"`nightjar router learn {policy.name} --by nearest` makes a new version."
        )
    return found.outcomes
