"""What each load costs and what it is worth, as far as a run knows it, and who is on the Pareto front. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightjar.jobs.fidelity import LoadedSide
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.statistics.intervals import Interval

CHECKS, JUDGE = "checks", "judge"


@dataclass(frozen=True, kw_only=True)
class ScoredMean:
    """A metric's mean over the run's sequences."""

    mean: float
    interval: Interval | None
    n: int


@dataclass(frozen=True, kw_only=True)
class LoadCosts:
    """None where no run, or not this run, says."""

    file_bytes: int
    """Of the model's file, or its parts."""
    cache_bytes: int
    """Of a thousand tokens of context."""
    checks: ScoredMean | None = None
    judge: ScoredMean | None = None
    tokens_per_s: float | None = None
    """Of one conversation: the probe's where there is one, else that run's."""
    process_peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    joules_per_1000_tokens: float | None = None
    """Of the card, a thousand reply tokens, prompts included."""


@dataclass(frozen=True, kw_only=True)
class FrontMeasure:
    """One thing of which less is better, for the front: by label of the load."""

    name: str
    values: Mapping[str, float]


def load_costs(side: LoadedSide, model: ModelReport | None) -> LoadCosts:
    """What its files say, and what a run says of it as a model of its own."""
    file_bytes, cache_bytes = side.facts.file_facts.file_bytes, side.cache_bytes
    if model is None:
        return LoadCosts(file_bytes=file_bytes, cache_bytes=cache_bytes)
    probe, resources = model.resources.probe, model.resources
    return LoadCosts(
        file_bytes=file_bytes,
        cache_bytes=cache_bytes,
        checks=_scored(model.total.metrics.get(CHECKS)),
        judge=_scored(model.total.metrics.get(JUDGE)),
        tokens_per_s=probe.decode_tokens_per_s if probe is not None else model.total.speed.decode_tokens_per_s,
        process_peak_bytes=resources.process_peak_bytes,
        gpu_peak_bytes=resources.gpu_peak_bytes,
        joules_per_1000_tokens=resources.energy_j_per_1000_tokens,
    )


def in_run(side: LoadedSide, models: Sequence[ModelReport]) -> ModelReport | None:
    """The model of a run that has the same file and adapters, cache types and flash attention.

    A run's models with variants count as themselves only without one: instructions change what replies are worth.
    """
    return next((model for model in models if _is_same(model, side)), None)


def _is_same(model: ModelReport, side: LoadedSide) -> bool:
    if model.input.variant is not None or model.input.digest != side.facts.digest:
        return False
    ours = side.load
    return not model.input.loads or any(
        (load.cache_type_k, load.cache_type_v, load.flash_attention)
        == (ours.cache_type_k, ours.cache_type_v, ours.flash_attention)
        for load in model.input.loads
    )


def _scored(metric: Metric | None) -> ScoredMean | None:
    if metric is None or metric.mean is None:
        return None
    return ScoredMean(mean=metric.mean, interval=metric.interval, n=metric.n)


def front_measures(costs: Mapping[str, LoadCosts], kld: Mapping[str, float]) -> tuple[FrontMeasure, ...]:
    """What is known of every load; `kld` by label, 0 for the reference."""
    known: dict[str, Mapping[str, float | None]] = {
        "divergence": kld,
        "file size": {label: float(cost.file_bytes) for label, cost in costs.items()},
        "cache": {label: float(cost.cache_bytes) for label, cost in costs.items()},
        "tokens/s": {label: _negative(cost.tokens_per_s) for label, cost in costs.items()},
        "energy": {label: cost.joules_per_1000_tokens for label, cost in costs.items()},
    }
    measures = []
    for name, values in known.items():
        there = {label: value for label, value in values.items() if value is not None}
        if len(there) == len(costs):
            measures.append(FrontMeasure(name=name, values=there))
    return tuple(measures)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def pareto_front(labels: Sequence[str], measures: Sequence[FrontMeasure]) -> frozenset[str]:
    """Those that no other is as good as in every measure and better than in one. Equal loads are on it together."""

    def beats(one: str, two: str) -> bool:
        pairs = [(measure.values[one], measure.values[two]) for measure in measures]
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    return frozenset(label for label in labels if not any(beats(other, label) for other in labels if other != label))
