"""What a report says of one model, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.jobs.models import LoadFacts, ModelFacts, SpeedProbe, ThreadUse
from nightjar.jobs.money.energy import EnergyUse
from nightjar.jobs.routing.routed import FrozenPolicy
from nightjar.jobs.variants import Variant, contestant_name
from nightjar.pipeline.report.data.group import Group
from nightjar.pipeline.report.data.spread import Detail


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """What a worker process measured about itself since it started; None if it cannot be measured."""

    id: str
    device: str
    process_peak_bytes: int | None
    gpu_peak_bytes: int | None
    gpu_utilisation: float | None
    gpu_energy_j: float | None
    probe: SpeedProbe | None = None
    threads: ThreadUse | None = None
    """None where their number is fixed, or not known."""
    others_cores: float | None = None
    """Cores that other processes kept from it while it had work."""


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """A contestant of the run as the collector read it: a model, with a variant where the run has some.

    One that is a policy has no file and no load of its own: those of its candidates are theirs.
    """

    name: str
    """The model's, or the policy's."""
    digest: str | None
    facts: ModelFacts | None
    loads: tuple[LoadFacts, ...]
    workers: tuple[WorkerFacts, ...]
    variant: Variant | None = None
    policy: FrozenPolicy | None = None
    energy: EnergyUse | None = None
    """Of its replies in this run; None: no worker has a card that tells, nor a price."""

    @property
    def contestant(self) -> str:
        """What reports call it."""
        return contestant_name(self.name, self.variant.name if self.variant is not None else None)

    @property
    def given_up(self) -> tuple[str, ...]:
        """What automatic load settings gave up for want of memory, in words; each once."""
        return tuple(dict.fromkeys(words for load in self.loads for words in load.given_up))


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a model used. `reasons` explains each None."""

    load_s: float | None
    process_peak_bytes: int | None
    gpu_peak_bytes: int | None
    gpu_utilisation: float | None
    gpu_energy_j: float | None
    probe: SpeedProbe | None
    threads: ThreadUse | None = None
    """Over all workers that followed their machine's load."""
    others_cores: float | None = None
    """Cores that other processes kept from the busiest of the workers while it had work."""
    energy_j: float | None = None
    """What the cards used while they worked on its replies in this run."""
    energy_j_per_1000_tokens: float | None = None
    """The same of a thousand reply tokens, their prompts included."""
    reasons: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ParameterUse:
    """One value of a parameter, where it came from, and how many turns used it."""

    value: Any
    source: str
    turns: int


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """Everything about one contestant: as a whole and by tag, sequence, turn (0, 1, ...) and repeat."""

    input: ModelInput
    total: Group
    by_tag: Mapping[str, Group]
    by_sequence: Mapping[str, Group]
    by_turn: Mapping[int, Group]
    by_repeat: Mapping[int, Group]
    resources: Resources
    parameters: Mapping[str, tuple[ParameterUse, ...]]
    details: Mapping[str, Detail] = field(default_factory=dict)
    """Metric -> how its sequences spread and what its repeats say."""

    @property
    def name(self) -> str:
        """What reports call it: the model, with its variant where it has one."""
        return self.input.contestant
