"""Who answered for a run's policies, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nightjar.pipeline.transcripts import JobRow


@dataclass(frozen=True, kw_only=True)
class CandidateShare:
    """What one candidate of a policy answered in a run."""

    contestant: str
    """The policy, as the report calls it."""
    policy: str
    """KIND:NAME@VERSION."""
    model: str
    chosen: int
    """Conversations that it was the first choice for."""
    handed_on: int
    """Of these, those that went on with another."""
    taken_over: int
    """Conversations that others began, or were to begin."""
    turns: int
    """Committed turns that it answered."""
    reasons: Mapping[str, int]
    """Why it was asked -> conversations."""


def candidate_shares(jobs: Iterable[JobRow]) -> tuple[CandidateShare, ...]:
    """A share for each policy and candidate, in the order of the jobs; empty for a run without policies."""
    tallies: dict[tuple[str, str, str], _ShareTally] = {}
    for job in jobs:
        if job.route is None:
            continue
        for number, (model, reason, _) in enumerate(job.route.steps):
            tally = tallies.setdefault((job.contestant, job.route.policy, model), _ShareTally())
            tally.reasons[reason] += 1
            tally.chosen += number == 0
            tally.handed_on += number == 0 and len(job.route.steps) > 1
            tally.taken_over += number > 0
        for turn in job.turns:
            tallies[job.contestant, job.route.policy, job.route.who(turn.index)].turns += 1
    return tuple(
        CandidateShare(
            contestant=contestant,
            policy=policy,
            model=model,
            chosen=tally.chosen,
            handed_on=tally.handed_on,
            taken_over=tally.taken_over,
            turns=tally.turns,
            reasons=MappingProxyType(dict(tally.reasons.most_common())),
        )
        for (contestant, policy, model), tally in tallies.items()
    )


class _ShareTally:
    def __init__(self) -> None:
        self.chosen = self.handed_on = self.taken_over = self.turns = 0
        self.reasons: Counter[str] = Counter()
