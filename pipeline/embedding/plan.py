"""Which EMBED jobs a finished run needs. Pure: from transcripts to jobs with deterministic ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind

VERSION = 1
"""Raised when the computation of similarities changes: old ones then no longer count."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedJob:
    """A DONE reply job. `chain` is the last turn's and stands for the whole transcript."""

    id: str
    sequence: str
    sequence_digest: str
    sequence_document: str
    repeat: int
    tags: tuple[str, ...]
    chain: str


@dataclass(frozen=True, kw_only=True)
class EmbedJobSpec:
    """One EMBED job: all replies of one conversation."""

    id: str
    model: str
    about: EmbeddedJob


def plan_embedding(run: str, jobs: Sequence[tuple[EmbeddedJob, PromptSequence]], model: str) -> Iterator[EmbedJobSpec]:
    """A job for every conversation that has something to compare."""
    for job, sequence in jobs:
        if has_pairs(sequence):
            identity = digest(run, JobKind.EMBED, VERSION, model, job.id, job.chain)
            yield EmbedJobSpec(id=identity, model=model, about=job)


def has_pairs(sequence: PromptSequence) -> bool:
    """Whether any reply of the sequence can be compared with a reference or with the previous reply."""
    follows = len(sequence.turns) > 1 and sequence.mode is not Mode.INDEPENDENT
    return follows or any(turn.reference is not None for turn in sequence.turns)
