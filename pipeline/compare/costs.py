"""What two sides of a comparison cost: speed, memory and US dollars, judging apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from nightjar.jobs.remote_models import ROLES
from nightjar.jobs.states import JobKind
from nightjar.pipeline.report.data.costs import ModelCost
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport

_REPLIES, _VERDICTS = ROLES[JobKind.REPLY], ROLES[JobKind.JUDGE]


@dataclass(frozen=True, kw_only=True)
class CostComparison:
    """Speed, memory or money of both sides; None where it was not measured or is not known."""

    name: str
    base: float | None
    other: float | None
    more_is_better: bool


@dataclass(frozen=True, kw_only=True)
class Dollars:
    """What a contestant of a run cost, in US dollars: endpoints, and electricity by conversation and verdict."""

    has_conversations: bool
    """Its replies have a cost, known or not."""
    conversation: float | None
    sequences: Mapping[str, float | None]
    """By what the same sequence has on the other side, too; endpoints alone."""
    has_verdicts: bool
    verdict: float | None
    """Of all judges of its run together."""


def dollars_of(report: RunReport, model: ModelReport, keys: Mapping[str, str]) -> Dollars:
    """`keys`: sequence id -> what the same sequence has on the other side, too."""
    replies = {cost.model: cost.usd_per_job for cost in report.costs if cost.role == _REPLIES}
    verdicts = [cost for cost in report.costs if cost.role == _VERDICTS]
    jobs = [cost.jobs for cost in verdicts]
    usd, given = _sum(verdicts), None if None in jobs else sum(job or 0 for job in jobs)
    return Dollars(
        has_conversations=model.input.name in replies,
        conversation=replies.get(model.input.name),
        sequences={
            keys[cost.sequence]: None if cost.unpriced else cost.usd
            for cost in report.sequence_costs
            if cost.role == _REPLIES and cost.model == model.name and cost.sequence in keys
        },
        has_verdicts=bool(verdicts),
        verdict=usd / given if usd is not None and given else None,
    )


def dollars(base: Dollars, other: Dollars, shared: Set[str]) -> tuple[CostComparison, ...]:
    """What endpoints are paid, and electricity, by conversation, sequence and verdict; each is left out where neither
    side has any, and None for a side that has none. `shared`: the sequences that both have.
    """
    lines = []
    if base.has_conversations or other.has_conversations:
        lines.append(_line("US dollars a conversation", base.conversation, other.conversation))
    if base.sequences or other.sequences:
        paid = set(shared).intersection(*(side.sequences for side in (base, other) if side.sequences))
        lines.append(_line("US dollars a sequence", _mean(base, paid), _mean(other, paid)))
    if base.has_verdicts or other.has_verdicts:
        lines.append(_line("US dollars a verdict", base.verdict, other.verdict))
    return tuple(lines)


def run_dollars(base: RunReport, other: RunReport) -> tuple[CostComparison, ...]:
    """What two runs cost with all their models, judging apart; nothing of a run that is compared with itself."""
    if base.provenance.id == other.provenance.id:
        return ()
    lines = []
    for name, judging in (("run: US dollars without judging", False), ("run: US dollars for judging", True)):
        parts = [[cost for cost in side.costs if (cost.role == _VERDICTS) == judging] for side in (base, other)]
        if any(parts):
            lines.append(_line(name, *map(_sum, parts)))
    return tuple(lines)


def _line(name: str, base: float | None, other: float | None) -> CostComparison:
    return CostComparison(name=name, base=base, other=other, more_is_better=False)


def _sum(costs: Iterable[ModelCost]) -> float | None:
    """None where there are none, or some of it is not known."""
    known = [None if cost.unpriced else cost.usd for cost in costs]
    return sum(usd or 0.0 for usd in known) if known and None not in known else None


def _mean(side: Dollars, sequences: Set[str]) -> float | None:
    known = [side.sequences.get(key) for key in sequences]
    return sum(usd or 0.0 for usd in known) / len(known) if known and None not in known else None


def unlike_probes(base: ModelReport, other: ModelReport) -> bool:
    """Whether each has a probe, made in another way."""
    before, after = base.resources.probe, other.resources.probe
    return before is not None and after is not None and before.kind is not after.kind


def speeds_and_memory(base: ModelReport, other: ModelReport) -> tuple[CostComparison, ...]:
    """Speeds, of turns and of probes that were made alike, and memory."""
    before, after = base.resources, other.resources
    probes = (None, None) if unlike_probes(base, other) else (before.probe, after.probe)
    decode, prefill = (
        [None if probe is None else getattr(probe, name) for probe in probes]
        for name in ("decode_tokens_per_s", "prefill_tokens_per_s")
    )
    turns = [model.total.speed.decode_tokens_per_s for model in (base, other)]
    return (
        CostComparison(name="turns: decode, tokens/s", base=turns[0], other=turns[1], more_is_better=True),
        CostComparison(name="probe: decode, tokens/s", base=decode[0], other=decode[1], more_is_better=True),
        CostComparison(name="probe: prefill, tokens/s", base=prefill[0], other=prefill[1], more_is_better=True),
        CostComparison(
            name="process memory, bytes",
            base=before.process_peak_bytes,
            other=after.process_peak_bytes,
            more_is_better=False,
        ),
        CostComparison(
            name="GPU memory, bytes", base=before.gpu_peak_bytes, other=after.gpu_peak_bytes, more_is_better=False
        ),
    )
