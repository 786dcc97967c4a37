"""One night of a suite, small enough to keep forever: each model's numbers and what they depend on. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nightjar.pipeline.report.data.fingerprints import model_marks, run_marks
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Scale

VERSION = 2
"""Version of the stored form; a night of another version is made again from its run. Raised, too, when the version of a
built-in scorer is, so that nights are scored alike where their transcripts are there."""


class Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NightMetric(Plain):
    """`mean` over `n` sequences with its 95 % interval; None where there is none."""

    mean: float | None
    n: int
    low: float | None = None
    high: float | None = None
    unscored: int = 0
    failed: int = 0
    missing: int = 0


class NightScale(Plain):
    """What a metric's numbers mean."""

    direction: Literal["higher", "lower", "none"]
    unit: str
    worst: float | None
    best: float | None


class NightModel(Plain):
    """A model on one night. Speeds in tokens per second, by the probe where there was one."""

    name: str
    turns: int
    turns_expected: int
    failed_jobs: int
    empty: int
    degenerate: int
    metrics: dict[str, NightMetric]
    decode_tokens_per_s: float | None = None
    """From the probe: one conversation, fixed work."""
    prefill_tokens_per_s: float | None = None
    run_tokens_per_s: float | None = None
    """From the run: all reply tokens over the busy time."""
    first_token_s: float | None = None
    process_peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    marks: dict[str, str | None]
    """Model file, template, llama.cpp build, driver, device, parameters."""


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


def night_of(report: RunReport) -> Night:
    """The part of a report that is kept."""
    run = report.provenance
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
        models=[_model(model) for model in report.models],
    )


def _model(model: ModelReport) -> NightModel:
    counts, speed, resources = model.total.counts, model.total.speed, model.resources
    return NightModel(
        name=model.name,
        turns=counts.turns,
        turns_expected=counts.turns_expected,
        failed_jobs=counts.failed,
        empty=counts.empty,
        degenerate=counts.degenerate,
        metrics={name: _metric(metric) for name, metric in model.total.metrics.items()},
        decode_tokens_per_s=resources.probe.decode_tokens_per_s if resources.probe else None,
        prefill_tokens_per_s=resources.probe.prefill_tokens_per_s if resources.probe else None,
        run_tokens_per_s=speed.total_tokens_per_s,
        first_token_s=speed.first_token_p50_s,
        process_peak_bytes=resources.process_peak_bytes,
        gpu_peak_bytes=resources.gpu_peak_bytes,
        marks=model_marks(model),
    )


def _metric(metric: Metric) -> NightMetric:
    return NightMetric(
        mean=metric.mean,
        n=metric.n,
        low=metric.interval.low if metric.interval else None,
        high=metric.interval.high if metric.interval else None,
        unscored=metric.unscored,
        failed=metric.failed,
        missing=metric.missing,
    )


def _scale(scale: Scale) -> NightScale:
    return NightScale(direction=scale.direction.value, unit=scale.unit, worst=scale.worst, best=scale.best)
