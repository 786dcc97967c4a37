"""Which FIDELITY jobs a finished run needs. Pure: from transcripts to jobs with deterministic ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nightjar.jobs.fidelity_results import VERSION
from nightjar.jobs.identity import digest
from nightjar.jobs.states import JobKind

BATCH_TOKENS = 20_000
"""Reply tokens of one job, and about as many more of prompts: a worker that is killed loses no more than these."""
MOST_TOKENS = 200_000
"""Of one model. Longer runs are read in part: intervals are narrow by then."""


@dataclass(frozen=True, kw_only=True)
class ReadJob:
    """A DONE reply job whose conversation is to be read. `chain` is the last turn's, for the whole transcript."""

    id: str
    sequence: str
    sequence_digest: str
    sequence_document: str
    repeat: int
    order: int
    chain: str
    tokens: int
    """Of its replies."""


@dataclass(frozen=True, kw_only=True)
class FidelityJobSpec:
    """One FIDELITY job: some conversations, read by one candidate and the reference."""

    id: str
    model: str
    jobs: tuple[ReadJob, ...]


def replies_of(models: Sequence[str], reference: str) -> str:
    """Whose replies all read: the reference's own where it is one of the models, else the first model's."""
    return reference if reference in models else models[0]


def candidates_of(models: Sequence[str], reference: str) -> list[str]:
    """The models that are held against the reference."""
    return [model for model in models if model != reference]


def chosen(run: str, jobs: Sequence[ReadJob]) -> list[ReadJob]:
    """At most MOST_TOKENS of them, drawn by their ids, so that a suite's parts all have their share; in order."""
    left = MOST_TOKENS
    kept: list[ReadJob] = []
    for job in sorted(jobs, key=lambda job: digest("fidelity", run, job.id)):
        if job.tokens > left and kept:
            break
        kept.append(job)
        left -= job.tokens
    return sorted(kept, key=lambda job: job.order)


def plan_fidelity(
    run: str, jobs: Sequence[ReadJob], model: str, reference: str, covered: Collection[str]
) -> Iterator[FidelityJobSpec]:
    """Batches of the conversations of which the candidate has read none. `covered`: ids of those that have a job."""
    batch: list[ReadJob] = []
    rest = [job for job in jobs if job.id not in covered]
    for number, job in enumerate(rest, start=1):
        batch.append(job)
        if number == len(rest) or sum(each.tokens for each in batch) >= BATCH_TOKENS:
            chains = [(each.id, each.chain) for each in batch]
            identity = digest(run, JobKind.FIDELITY, VERSION, model, reference, chains)
            yield FidelityJobSpec(id=identity, model=model, jobs=tuple(batch))
            batch = []
