"""What changed since the baseline, as plain data. Pure; `pipeline.compare.changes` works it out."""

from __future__ import annotations

from dataclasses import dataclass

SHORT = 12
"""How many characters of a digest are shown."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Something the numbers depend on that differs between two nights; None on the side that had none."""

    what: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        return f"{self.what}: {_short(self.before)} \u2192 {_short(self.after)}"


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """A quality metric over the sequences that both nights have; a positive difference is an improvement."""

    metric: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    """Lower end of the difference's 95 % interval; None with fewer than five sequences."""
    high: float | None
    p_adjusted: float | None
    """Adjusted over the model's metrics (Holm)."""
    verdict: str
    """"better", "worse" or "can't tell"."""
    words: str
    """The verdict, and what would settle a doubt."""

    @property
    def told(self) -> bool:
        return self.verdict in ("better", "worse")


@dataclass(frozen=True, kw_only=True)
class CostChange:
    """A speed measured by the probe, or a memory size; only what was measured on both nights."""

    name: str
    before: float
    after: float
    more_is_better: bool


@dataclass(frozen=True, kw_only=True)
class ModelChange:
    """What changed for one model since the baseline."""

    model: str
    shared: int
    """Number of sequences with the same content in both runs."""
    incomplete: int = 0
    """How many of them lack a reply or a score on either side, by the metric that lacks most."""
    metrics: tuple[MetricChange, ...]
    costs: tuple[CostChange, ...]
    marks: tuple[Fingerprint, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """A run compared with its baseline; models are matched by name."""

    baseline: str
    """Name of the baseline run."""
    baseline_id: str
    models: tuple[ModelChange, ...]
    marks: tuple[Fingerprint, ...]
    """What changed for the whole run: suite, prompts, judge, rubric."""
    new_models: tuple[str, ...]
    gone_models: tuple[str, ...]
    reason: str | None = None
    """Why something cannot be compared; None if everything can."""


def _short(value: str | None) -> str:
    if value is None:
        return "none"
    is_digest = len(value) >= 32 and all(char in "0123456789abcdef" for char in value)
    return value[:SHORT] if is_digest else value
