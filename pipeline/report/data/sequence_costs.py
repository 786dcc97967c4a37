"""What each sequence of a run cost at endpoints, by model and by what it was paid for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nightjar.jobs.remote_models import ROLES, JobSpending, usd_text
from nightjar.jobs.states import JobKind


@dataclass(frozen=True, kw_only=True)
class SequenceCost:
    """One sequence, with all its repeats, and one model in one role. A card's electricity is not known by sequence."""

    sequence: str
    model: str
    """Of replies the contestant; else the judge or embedding model."""
    role: str
    """replies, verdicts or embeddings."""
    jobs: int
    """Conversations, verdicts or comparisons that something was sent for, done or not."""
    requests: int
    usd: float | None
    """None where no price is known."""
    unpriced: int
    estimated: int
    open: int

    @property
    def text(self) -> str:
        """ "$0.0042", "at least $0.0042", "unknown"."""
        return usd_text(self.usd, unpriced=self.unpriced)


def sequence_costs(
    spent: Iterable[JobSpending], replies: Mapping[str, tuple[str, str]], order: Iterable[str]
) -> tuple[SequenceCost, ...]:
    """`replies`: id of a reply job -> its sequence and contestant; `order`: of the sequences."""
    sums: dict[tuple[str, JobKind, str], SequenceCost] = {}
    for each in spent:
        if each.about not in replies:
            continue
        sequence, contestant = replies[each.about]
        key = (sequence, each.kind, contestant if each.kind is JobKind.REPLY else each.model)
        before = sums.get(key)
        sums[key] = SequenceCost(
            sequence=sequence,
            model=key[2],
            role=ROLES.get(each.kind, str(each.kind)),
            jobs=1 if before is None else before.jobs + 1,
            requests=each.requests if before is None else before.requests + each.requests,
            usd=each.usd if before is None else _sum(before.usd, each.usd),
            unpriced=each.unpriced if before is None else before.unpriced + each.unpriced,
            estimated=each.estimated if before is None else before.estimated + each.estimated,
            open=each.open if before is None else before.open + each.open,
        )
    places = {name: at for at, name in enumerate(order)}
    kinds = list(JobKind)
    in_order = sorted(sums, key=lambda key: (places.get(key[0], len(places)), kinds.index(key[1]), key[2]))
    return tuple(sums[key] for key in in_order)


def _sum(first: float | None, second: float | None) -> float | None:
    """Of what is known; an unknown is told by `unpriced`."""
    return (first or 0.0) + (second or 0.0) if first is not None or second is not None else None
