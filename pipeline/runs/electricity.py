"""What the electricity of a run's local models will cost, where an earlier run tells what their tokens take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.documents import Run, SequenceRef
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.money.energy import JOULES_PER_KWH
from nightjar.jobs.mongo import Database
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.status.energy_rates import EnergyRate, energy_rate
from nightjar.pipeline.runs.preflight import layers_above, read_planned
from nightjar.pipeline.runs.remote_plan import ASSUMED_REPLY_TOKENS, PlannedSequence, planned_shares, reply_limits
from nightjar.pipeline.runs.routed_models import read_routes


@dataclass(frozen=True, kw_only=True)
class ExpectedElectricity:
    """Of one model's replies in a run. Judging is not in it."""

    model: str
    tokens: int
    most_tokens: int
    """If every reply is as long as it may be."""
    rate: EnergyRate
    usd_per_kwh: float

    def sentence(self) -> str:
        """With its assumptions."""
        return (
            f"Electricity for {self.model} will cost about {usd_text(self._usd(self.tokens))}, assuming "
            f"{self.rate.joules_per_token:.3g} J a reply token, prompts included, as in run {self.rate.run}, replies "
            f"of up to {ASSUMED_REPLY_TOKENS} tokens and ${self.usd_per_kwh:g} a kWh; "
            f"{usd_text(self._usd(self.most_tokens))} if all use their max_tokens."
        )

    def _usd(self, tokens: int) -> float:
        return tokens * self.rate.joules_per_token / JOULES_PER_KWH * self.usd_per_kwh


def expected_electricity(
    name: str,
    rate: EnergyRate,
    usd_per_kwh: float,
    sequences: Iterable[PlannedSequence],
    layers: Sequence[Mapping[str, Any]],
    *,
    below: Mapping[str, Any],
    repeats: int,
) -> ExpectedElectricity:
    """Of one conversation for each sequence, layer and repeat; see `expected_cost`."""
    limits = [limit for each in sequences for above in layers for limit in reply_limits(each, above, below)]
    return ExpectedElectricity(
        model=name,
        tokens=repeats * sum(min(ASSUMED_REPLY_TOKENS, limit) for limit in limits),
        most_tokens=repeats * sum(limits),
        rate=rate,
        usd_per_kwh=usd_per_kwh,
    )


async def electricity_notes(
    run: Run,
    sequences: Sequence[SequenceRef],
    facts: Mapping[str, ModelFacts],
    database: Database,
    usd_per_kwh: float | None,
) -> list[str]:
    """A sentence for each local model of which enough is known; nothing of the others.

    `usd_per_kwh`: as it is set here; None: what counts is how it was set on the hosts of the earlier run.
    """
    generated = [sequence for sequence in sequences if not sequence.scored]
    rates = {}
    for name, model in facts.items() if generated else ():
        if (
            model.remote is None
            and (rate := await energy_rate(name, model.digest, run.suite_name, database)) is not None
        ):
            price = rate.usd_per_kwh if usd_per_kwh is None else usd_per_kwh
            if price is not None:
                rates[name] = (rate, price)
    if not rates:
        return []
    planned, routes = await read_planned(generated, database), await read_routes(run, generated)
    named = [model.name for model in run.models if model.policy is None]
    notes = []
    for name, (rate, price) in rates.items():
        layers = layers_above(run, name)
        for whose, theirs in planned_shares(name, named, routes, planned).items():
            below = facts[name].registry_parameters
            expected = expected_electricity(whose, rate, price, theirs, layers, below=below, repeats=run.repeats)
            notes.append(expected.sentence())
    return notes
