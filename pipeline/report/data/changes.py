"""What changed since the baseline, as plain data. Pure; `pipeline.compare.changes` works it out."""

from __future__ import annotations

from dataclasses import dataclass

SHORT = 12
"""Characters of a digest that people are shown."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Something that numbers hang on and that differs between two nights; None where there was none."""

    what: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        return f"{self.what}: {_short(self.before)} \u2192 {_short(self.after)}"


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """A metric with a better end over the sequences both nights have; differences so turned that more is better."""

    metric: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    """End of the difference's 95 % interval; None under five sequences."""
    high: float | None
    p_adjusted: float | None
    """Holm over the model's metrics."""
    verdict: str
    """better, worse, can't tell."""
    words: str
    """The verdict, and what would settle a doubt."""

    @property
    def told(self) -> bool:
        return self.verdict in ("better", "worse")


@dataclass(frozen=True, kw_only=True)
class CostChange:
    """Speed by the probe, or memory; of those that were measured on both nights."""

    name: str
    before: float
    after: float
    more_is_better: bool


@dataclass(frozen=True, kw_only=True)
class ModelChange:
    model: str
    shared: int
    """Sequences of the same content."""
    metrics: tuple[MetricChange, ...]
    costs: tuple[CostChange, ...]
    marks: tuple[Fingerprint, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """A run held against its baseline, model by model of one name."""

    baseline: str
    """Name of the run."""
    baseline_id: str
    models: tuple[ModelChange, ...]
    marks: tuple[Fingerprint, ...]
    """Of the run: suite, prompts, judge, rubric."""
    new_models: tuple[str, ...]
    gone_models: tuple[str, ...]
    reason: str | None = None
    """Why something cannot be compared; None where all can."""


def _short(value: str | None) -> str:
    if value is None:
        return "none"
    is_digest = len(value) >= 32 and all(char in "0123456789abcdef" for char in value)
    return value[:SHORT] if is_digest else value
