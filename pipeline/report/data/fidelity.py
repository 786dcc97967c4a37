"""What `nightjar fidelity` found: loads, numbers, what each costs, and who is on the Pareto front. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from nightjar.jobs.ending import GateResult
from nightjar.jobs.fidelity import LoadedSide
from nightjar.jobs.models import flat_facts
from nightjar.pipeline.report.data.fidelity_costs import LoadCosts
from nightjar.pipeline.report.data.fidelity_numbers import FidelityNumbers
from nightjar.pipeline.report.data.notice import Notice

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the loads read."""

    name: str
    """A file's name, or the run's."""
    kind: str
    """"text" or "run"."""
    digest: str
    """Of the token ids and which of them are scored: two results with the same one read the same."""
    layout: str
    window: int | None
    """Tokens; None for conversations."""
    bos: bool | None
    """Whether each window begins with the beginning-of-text token; None for conversations, which have their own."""
    score_from: int | None
    """The first token of a full window that is scored, from 0."""
    replies_of: str | None = None
    """Whose replies a run's conversations hold."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Turns that could not be read again, by reason."""


@dataclass(frozen=True, kw_only=True)
class FidelityRow:
    """A candidate; the reference is a row without numbers."""

    side: LoadedSide
    numbers: FidelityNumbers | None
    costs: LoadCosts
    on_front: bool = False
    """No other load is as good in everything that is known of all, and better in something."""

    @property
    def label(self) -> str:
        return self.side.label


@dataclass(frozen=True, kw_only=True)
class FidelityResult:
    """Everything that the page, the table and the JSON show."""

    generated_by: str
    generated_at: datetime
    material: Material
    reference: FidelityRow
    candidates: tuple[FidelityRow, ...]
    costs_from: str | None
    """The run whose checks, judgements, speeds, memory and energy are shown."""
    front_of: tuple[str, ...]
    """What the front is over: the measures that are known of all loads."""
    gates: tuple[GateResult, ...] = ()
    notices: tuple[Notice, ...] = ()
    seed: int | None = None
    """Of the entries drawn, where divergences are estimated."""

    @property
    def rows(self) -> tuple[FidelityRow, ...]:
        return (self.reference, *self.candidates)


def fidelity_data(result: FidelityResult) -> dict[str, Any]:
    """As JSON shows it; keys are added, none is renamed or removed."""
    return {
        "schema_version": SCHEMA_VERSION,
        "generated_by": result.generated_by,
        "generated_at": result.generated_at.isoformat(),
        "material": asdict(result.material),
        "reference": _row(result.reference),
        "candidates": [_row(row) for row in result.candidates],
        "costs_from": result.costs_from,
        "front_of": list(result.front_of),
        "seed": result.seed,
        "notices": [notice.text for notice in result.notices],
        "gates": [{**gate.model_dump(mode="json"), "gate": str(gate.gate)} for gate in result.gates],
    }


def _row(row: FidelityRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "model": flat_facts(row.side.facts),
        "load": row.side.load.shown(),
        "numbers": asdict(row.numbers) if row.numbers is not None else None,
        "costs": asdict(row.costs),
        "on_front": row.on_front,
    }
