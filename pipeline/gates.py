"""Gates: what a nightly run must keep, as numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from config.errors import UsageError, suggest
from pipeline.comparison import Comparison
from pipeline.report.data import RunReport
from pipeline.scoring.scorer import Direction, Scale


class GateKind(StrEnum):
    BELOW = "--fail-below"
    REGRESSION = "--fail-on-regression"
    MISSING = "--max-missing"


class Outcome(StrEnum):
    PASSED = "passed"
    TRIPPED = "tripped"
    INCONCLUSIVE = "inconclusive"
    """Fails only where gates are strict."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """`value` on the metric's own scale; for missing a share of 0 to 1."""

    kind: GateKind
    metric: str | None
    value: float


@dataclass(frozen=True, kw_only=True)
class GateResult:
    gate: Gate
    about: str
    """The run and model it was tried on."""
    outcome: Outcome
    reason: str


def parse_gate(kind: GateKind, text: str) -> Gate:
    """METRIC:X, or X alone for missing. Raises UsageError."""
    metric, colon, number = text.rpartition(":")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    wants_metric = kind is not GateKind.MISSING
    if value != value or bool(colon and metric) != wants_metric:  # nan is unlike itself
        form = "METRIC:NUMBER, such as checks:0.8" if wants_metric else "a share, such as 0.05"
        raise UsageError(f"{kind.value} {text!r} is not {form}.")
    if kind is not GateKind.BELOW and value < 0:
        raise UsageError(f"{kind.value} {text!r}: the number must be 0 or more.")
    return Gate(kind=kind, metric=metric or None, value=value)


def check_report(gates: Sequence[Gate], report: RunReport, only: str | None = None) -> list[GateResult]:
    """The gates on one run: lower limits and missing, for each of its models. Raises UsageError for a wrong metric."""
    results = []
    for model in report.models:
        if only is not None and model.name != only:
            continue
        about = f"{report.provenance.name}:{model.name}"
        for gate in gates:
            if gate.kind is GateKind.MISSING:
                counts = model.total.counts
                share = counts.turns_missing / counts.turns_expected if counts.turns_expected else 0.0
                outcome = Outcome.TRIPPED if share > gate.value else Outcome.PASSED
                results.append(
                    GateResult(gate=gate, about=about, outcome=outcome, reason=f"{share:.1%} of its turns are missing")
                )
            elif gate.kind is GateKind.BELOW:
                scale = _scale(gate, report)
                metric = model.total.metrics.get(gate.metric or "")
                results.append(_below(gate, about, scale, metric.mean if metric else None))
    return results


def check_comparison(gates: Sequence[Gate], comparison: Comparison) -> list[GateResult]:
    """The gates on a difference: a regression is the other side being worse than the base by more than the margin."""
    return [_regression(gate, comparison) for gate in gates if gate.kind is GateKind.REGRESSION]


def failed(results: Sequence[GateResult], *, strict: bool) -> bool:
    """Whether the exit code is 1."""
    bad = {Outcome.TRIPPED, Outcome.INCONCLUSIVE} if strict else {Outcome.TRIPPED}
    return any(result.outcome in bad for result in results)


def _below(gate: Gate, about: str, scale: Scale, value: float | None) -> GateResult:
    if value is None:
        return GateResult(gate=gate, about=about, outcome=Outcome.INCONCLUSIVE, reason=f"{gate.metric} has no value")
    bad = value > gate.value if scale.direction is Direction.LOWER else value < gate.value
    outcome = Outcome.TRIPPED if bad else Outcome.PASSED
    return GateResult(
        gate=gate, about=about, outcome=outcome, reason=f"{gate.metric} is {value:.4g}, limit {gate.value:g}"
    )


def _regression(gate: Gate, comparison: Comparison) -> GateResult:
    about = f"{comparison.other.name} against {comparison.base.name}"
    _scale(gate, comparison.other.report)
    found = next((one for one in comparison.metrics if one.metric == gate.metric), None)
    if found is None or found.pair.paired.interval is None:
        why = "too few shared sequences for an interval" if found else "the metric has no value on both sides"
        return GateResult(gate=gate, about=about, outcome=Outcome.INCONCLUSIVE, reason=f"{gate.metric}: {why}")
    interval = found.pair.paired.interval
    told = f"{gate.metric} changed by {interval.low:+.4g} to {interval.high:+.4g} (95 %), margin {gate.value:g}"
    if interval.high < -gate.value:
        outcome = Outcome.TRIPPED
    else:
        outcome = Outcome.INCONCLUSIVE if interval.low < -gate.value else Outcome.PASSED
    return GateResult(gate=gate, about=about, outcome=outcome, reason=told)


def _scale(gate: Gate, report: RunReport) -> Scale:
    known = report.quality_metrics()
    if gate.metric not in known:
        raise UsageError(
            f"{gate.kind.value}: run {report.provenance.name!r} has no metric {gate.metric!r} with a better end. "
            + suggest(gate.metric or "", known, "metric")
        )
    return report.scales[gate.metric]
