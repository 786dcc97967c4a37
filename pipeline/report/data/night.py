"""One night of a suite, small enough to keep forever: each model's numbers and what they depend on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.models import ProbeKind
from nightjar.pipeline.report.data.fingerprints import model_marks, run_marks
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import series_of
from nightjar.pipeline.scores import Direction, Scale

VERSION = 4
"""Version of the stored form; a night of another version is made again from its run. Raised, too, when the version of a
built-in scorer is, so that nights are scored alike where their transcripts are there."""
KEY = 16
"""How much of a sequence's digest is kept."""


class Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NightMetric(Plain):
    """`mean` over `n` sequences with its 95 % interval; None where there is none."""

    mean: float | None
    n: int
    low: float | None = None
    high: float | None = None
    to_worst: float | None = None
    """The mean with missing values at the scale's worst; None where nothing is missing, or the scale has no ends."""
    to_best: float | None = None
    unscored: int = 0
    failed: int = 0
    missing: int = 0

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Between which values the mean would lie with nothing missing; None where nothing is, or nothing bounds it."""
        if self.to_worst is None or self.to_best is None or self.to_worst == self.to_best:
            return None
        return min(self.to_worst, self.to_best), max(self.to_worst, self.to_best)


class NightScale(Plain):
    """What a metric's numbers mean."""

    direction: Literal["higher", "lower", "none"]
    unit: str
    worst: float | None
    best: float | None

    @property
    def scale(self) -> Scale:
        return Scale(worst=self.worst, best=self.best, direction=Direction(self.direction), unit=self.unit)


class NightSequences(Plain):
    """The headline metric sequence by sequence, for comparing this night with the next. Keys: start of the digest of
    all that reaches the model."""

    complete: dict[str, float]
    incomplete: dict[str, tuple[float, float] | None]
    """The values with what is missing at the scale's worst and best; None where the scale has no ends."""


class NightModel(Plain):
    """A model on one night. Speeds in tokens per second, by the probe where there was one."""

    name: str
    turns: int
    turns_expected: int
    failed_jobs: int
    empty: int
    degenerate: int
    repeats_previous: int = 0
    timeout: int = 0
    """Replies cut off by the time limit."""
    metrics: dict[str, NightMetric]
    sequences: NightSequences | None = None
    """None where the headline metric has no better end."""
    decode_tokens_per_s: float | None = None
    """From the probe: one conversation."""
    prefill_tokens_per_s: float | None = None
    probe_kind: ProbeKind = ProbeKind.WORK
    """How the probe was made."""
    run_tokens_per_s: float | None = None
    """From the run: all reply tokens over the busy time."""
    first_token_s: float | None = None
    process_peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    marks: dict[str, str | None]
    """Model file, template, llama.cpp build, driver, device, parameters."""

    @property
    def unusable(self) -> int:
        """Replies that are failures of the model."""
        return self.empty + self.degenerate + self.repeats_previous

    def missing_share(self, metric: str, scale: Scale) -> float:
        """Share of the turns that were not generated, or of what a metric's mean could still gain, where more."""
        turns = 1 - self.turns / self.turns_expected if self.turns_expected else 0.0
        found = self.metrics.get(metric)
        bounds = found.bounds if found else None
        return max(turns, (bounds[1] - bounds[0]) / scale.width if bounds and scale.width else 0.0)


class Night(Plain):
    """A finished run."""

    version: int = VERSION
    run: str
    name: str
    suite: str
    status: str
    created_at: datetime
    finished_at: datetime | None
    headline: str | None
    scales: dict[str, NightScale]
    marks: dict[str, str | None]
    """Suite, prompts, judge, rubric, nightjar, scorers."""
    models: list[NightModel] = Field(default_factory=list)
    series: str | None = None
    """The schedule, or the name with `{date}`, that it is a night of; None for a run that was made by hand. The run has
    it: it is not stored with the night."""


def night_of(report: RunReport) -> Night:
    """The part of a report that is kept."""
    run = report.provenance
    keys = {sequence.id: sequence.digest[:KEY] for sequence in report.sequences}
    return Night(
        run=run.id,
        name=run.name,
        suite=run.suite_name,
        status=run.status.value,
        created_at=run.created_at,
        finished_at=run.finished_at,
        headline=report.headline,
        scales={name: _scale(report.scales[name]) for name in report.metrics},
        marks=run_marks(report),
        models=[_model(model, report, keys) for model in report.models],
    )


def _model(model: ModelReport, report: RunReport, keys: Mapping[str, str]) -> NightModel:
    counts, speed, resources = model.total.counts, model.total.speed, model.resources
    return NightModel(
        name=model.name,
        turns=counts.turns,
        turns_expected=counts.turns_expected,
        failed_jobs=counts.failed,
        empty=counts.empty,
        degenerate=counts.degenerate,
        repeats_previous=counts.repeats_previous,
        timeout=counts.timeout,
        metrics={name: _metric(model, metric, report.scales[name]) for name, metric in model.total.metrics.items()},
        sequences=_sequences(model, report, keys),
        decode_tokens_per_s=resources.probe.decode_tokens_per_s if resources.probe else None,
        prefill_tokens_per_s=resources.probe.prefill_tokens_per_s if resources.probe else None,
        probe_kind=resources.probe.kind if resources.probe else ProbeKind.TIME,
        run_tokens_per_s=speed.total_tokens_per_s,
        first_token_s=speed.first_token_p50_s,
        process_peak_bytes=resources.process_peak_bytes,
        gpu_peak_bytes=resources.gpu_peak_bytes,
        marks=model_marks(model, report),
    )


def _sequences(model: ModelReport, report: RunReport, keys: Mapping[str, str]) -> NightSequences | None:
    name = report.headline
    if name is None or not report.scales[name].has_better_end:
        return None
    known = {sequence: keys.get(sequence, sequence) for sequence in model.by_sequence}
    series = series_of(model, name, report.scales[name], known)
    return NightSequences(
        complete={key: series.values[key] for key in sorted(series.complete)},
        incomplete={key: series.bounds(key) for key in sorted(series.expected - series.complete)},
    )


def _metric(model: ModelReport, metric: Metric, scale: Scale) -> NightMetric:
    series = series_of(model, metric.name, scale) if metric.gone and scale.width is not None else None
    return NightMetric(
        mean=metric.mean,
        n=metric.n,
        low=metric.interval.low if metric.interval else None,
        high=metric.interval.high if metric.interval else None,
        to_worst=series.to_worst if series else None,
        to_best=series.to_best if series else None,
        unscored=metric.unscored,
        failed=metric.failed,
        missing=metric.missing,
    )


def _scale(scale: Scale) -> NightScale:
    return NightScale(direction=scale.direction.value, unit=scale.unit, worst=scale.worst, best=scale.best)
