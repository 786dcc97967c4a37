"""Suite x contestants x repeats -> jobs, in a deterministic order, with deterministic ids. Pure and lazy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from nightjar.jobs.documents import SequenceRef
from nightjar.jobs.identity import job_id
from nightjar.jobs.states import JobKind
from nightjar.jobs.variants import Contestant

MAX_REPEATS = 100_000


class JobSpec(NamedTuple):
    """A job to write. A tuple, since a run may have a million of them."""

    id: str
    contestant: Contestant
    sequence: SequenceRef
    repeat: int
    order: int


def expand_waves(
    run_id: str,
    waves: Iterable[Iterable[SequenceRef]],
    contestants: Iterable[Contestant],
    repeats: int,
    *,
    positions: Mapping[str, int],
    start: int = 0,
) -> Iterator[JobSpec]:
    """Every job of the opened waves of a run, wave by wave, from number `start` on.

    `positions`: each sequence's place in the run, on which the order depends and not on its wave.
    """
    contestants = list(contestants)
    for wave in waves:
        sequences = list(wave)
        for spec in expand(run_id, sequences, contestants, repeats, start=max(start, 0)):
            yield spec._replace(order=positions[spec.sequence.id] * MAX_REPEATS + spec.repeat)
        start -= len(sequences) * len(contestants) * repeats


def expand(
    run_id: str, sequences: Iterable[SequenceRef], contestants: Iterable[Contestant], repeats: int, *, start: int = 0
) -> Iterator[JobSpec]:
    """Every job of a run, contestant by contestant, from number `start` on.

    `order` puts the repeats of a sequence, which share their whole first prompt, next to each other, and a model's
    variants, too: they meet the same machine. It depends on the sequence's position and the repeat alone, so a run
    that grows keeps the order of the jobs it has.
    """
    listed = list(sequences)
    for number, contestant in enumerate(contestants):
        jobs = len(listed) * repeats
        for index in range(max(0, start - number * jobs), jobs):
            position, repeat = divmod(index, repeats)
            sequence = listed[position]
            yield JobSpec(
                id=job_id(run_id, JobKind.REPLY, sequence.id, contestant.model, repeat, contestant.variant),
                contestant=contestant,
                sequence=sequence,
                repeat=repeat,
                order=position * MAX_REPEATS + repeat,
            )
