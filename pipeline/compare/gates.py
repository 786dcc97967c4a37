"""Gates: what a nightly run must keep, as numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from nightjar.config.counting import are, how_many
from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.ending import Gate, GateKind, GateOutcome, GateResult
from nightjar.pipeline.compare.comparison import Comparison
from nightjar.pipeline.compare.drift import check_drift, unmeasured
from nightjar.pipeline.report.data.answer import missing_words
from nightjar.pipeline.report.data.compared import ComparedSeries, Pair, PairDifference
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import MISSING_LIMIT, series_of
from nightjar.pipeline.scores import LARGEST, Direction, Scale
from nightjar.pipeline.statistics.differences import smallest_passing


def parse_gate(kind: GateKind, text: str) -> Gate:
    """METRIC:X, or for missing a share ("0.05", "5%") or a number of turns ("3"). Raises UsageError."""
    metric, colon, number = text.rpartition(":")
    percent = kind is GateKind.MISSING and number.endswith("%")
    try:
        value = float(number.removesuffix("%") if percent else number) / (100 if percent else 1)
    except ValueError:
        value = math.nan
    wants_metric = kind is not GateKind.MISSING
    if not math.isfinite(value) or bool(colon and metric) != wants_metric:
        form = "METRIC:NUMBER, such as checks:0.8" if wants_metric else "a share, such as 0.05, or turns, such as 3"
        raise UsageError(f"{kind.value} {text!r} is not {form}.")
    if kind is not GateKind.BELOW and value < 0:
        raise UsageError(f"{kind.value} {text!r}: the number must be 0 or more.")
    counted = kind is GateKind.MISSING and number.strip().isdecimal()
    if kind is GateKind.MISSING and not counted and value > 1:
        raise UsageError(f"{kind.value} {text!r} is not a share of 0 to 1, and not a whole number of turns.")
    return Gate(kind=kind, metric=metric or None, value=value, counted=counted)


def parse_gates(below: Iterable[str], regression: Iterable[str], missing: str | None) -> tuple[Gate, ...]:
    """The gates as a command line gives them, each once. Raises UsageError."""
    gates = [parse_gate(GateKind.BELOW, text) for text in below]
    gates += [parse_gate(GateKind.REGRESSION, text) for text in regression]
    gates += [parse_gate(GateKind.MISSING, missing)] if missing is not None else []
    return tuple(dict.fromkeys(gates))


def check_metrics(gates: Iterable[Gate], known: Sequence[str], where: str) -> None:
    """Raises UsageError, with the nearest names, for a gate on a metric that is not among the known ones."""
    for gate in gates:
        if gate.kind is not GateKind.DRIFT and gate.metric is not None and gate.metric not in known:
            raise UsageError(
                f"{gate}: {where} has no metric {gate.metric!r} with a better end. "
                + suggest(gate.metric, known, "metric with a better end")
            )


def check_values(gates: Iterable[Gate], scales: Mapping[str, Scale]) -> None:
    """Raises UsageError for a limit that is not on its metric's scale, or a margin wider than it: such a gate would
    always say the same."""
    for gate in gates:
        scale = scales.get(gate.metric or "")
        if scale is None or scale.worst is None or gate.kind is GateKind.DRIFT:
            continue
        low, high = scale.limits
        if gate.kind is GateKind.REGRESSION:
            low, high = 0.0, high - low
        if low <= gate.value <= high:
            continue
        what = "margin" if gate.kind is GateKind.REGRESSION else "limit"
        near = f" Is {gate.value / 100:g} meant?" if high <= 1 and low <= gate.value / 100 <= high else ""
        raise UsageError(
            f"{gate}: {gate.metric} goes {scale_words(scale)}; as a {what}, {gate.value:g} would always say the same."
            f"{near}"
        )


def scale_words(scale: Scale) -> str:
    """Between which values it lies: "from 0 to 1"."""
    low, high = scale.limits
    if high >= LARGEST:
        return f"from {low:g} upwards"
    return f"from {low:g} to {high:g}" if low > -LARGEST else f"up to {high:g}"


def out_of_reach(gates: Iterable[Gate], scales: Mapping[str, Scale], sequences: int) -> list[str]:
    """A sentence for each regression gate that cannot pass over so few sequences, however alike the runs are."""
    notes = []
    for gate in gates:
        scale = scales.get(gate.metric or "") if gate.kind is GateKind.REGRESSION else None
        width = scale.width if scale is not None else None
        if width is None:
            continue
        least, at_an_end = smallest_passing(gate.value, width / 2), smallest_passing(gate.value, width)
        if least is None or sequences < least:
            needed = (
                f"it takes {least} sequences, {at_an_end} where most values lie at an end of the scale"
                if least is not None
                else "a margin of 0 allows no uncertainty at all"
            )
            notes.append(
                f"{gate} cannot pass over {how_many(sequences, 'sequence')}, only trip or stay inconclusive: {needed}."
            )
    return notes


def check_report(gates: Sequence[Gate], report: RunReport, only: str | None = None) -> list[GateResult]:
    """The gates on one run: lower limits and missing, for each of its models. Raises UsageError for a wrong metric."""
    check_metrics(gates, report.quality_metrics(), f"run {report.provenance.name!r}")
    check_values(gates, report.scales)
    results = []
    for model in report.models:
        if only is not None and model.name != only:
            continue
        about = f"{report.provenance.name}:{model.name}"
        for gate in gates:
            if gate.kind is GateKind.MISSING:
                results.append(_missing(gate, about, model))
            elif gate.kind is GateKind.BELOW:
                results.append(_below(gate, about, model, report.scales[gate.metric or ""]))
    return results + _drifts(gates, report, only)


def _drifts(gates: Sequence[Gate], report: RunReport, only: str | None) -> list[GateResult]:
    """Of each model but the reference, whatever its variants."""
    asked, fidelity = [gate for gate in gates if gate.kind is GateKind.DRIFT], report.fidelity
    names = dict.fromkeys(model.input.name for model in report.models if only in (None, model.name, model.input.name))
    measured = {row.side.label: row.numbers for row in fidelity.candidates} if fidelity is not None else {}
    results: list[GateResult] = []
    for name in names:
        if fidelity is not None and name == fidelity.reference.side.label:
            continue
        about, numbers = f"{report.provenance.name}:{name}", measured.get(name)
        results += unmeasured(asked, about) if numbers is None else check_drift(asked, about, numbers)
    return results


def check_comparison(gates: Sequence[Gate], comparison: Comparison) -> list[GateResult]:
    """The gates on a difference: a regression is the other side being worse than the base by more than the margin."""
    return [_regression(gate, comparison) for gate in gates if gate.kind is GateKind.REGRESSION]


def without_baseline(gates: Sequence[Gate], about: str, why: str) -> list[GateResult]:
    """What regressions are where there is nothing to hold the run against: inconclusive."""
    return [
        GateResult(gate=gate, about=about, outcome=GateOutcome.INCONCLUSIVE, reason=why)
        for gate in gates
        if gate.kind is GateKind.REGRESSION
    ]


def _missing(gate: Gate, about: str, model: ModelReport) -> GateResult:
    counts = model.total.counts
    lost = counts.turns_expected - counts.turns  # also those of a stopped run's jobs that never ended
    share = lost / counts.turns_expected if counts.turns_expected else 0.0
    bad = lost > gate.value if gate.counted else share > gate.value
    reason = f"{lost} of {how_many(counts.turns_expected, 'turn')} {are(counts.turns_expected)} missing ({share:.1%})"
    return GateResult(
        gate=gate,
        about=about,
        outcome=GateOutcome.TRIPPED if bad else GateOutcome.PASSED,
        reason=reason,
        measured=float(lost) if gate.counted else share,
        n=counts.turns_expected,
    )


def _below(gate: Gate, about: str, model: ModelReport, scale: Scale) -> GateResult:
    """The mean against the limit. With much missing it passes only if it would with all that counted as worst."""
    assert gate.metric is not None
    metric = model.total.metrics.get(gate.metric)
    if metric is None or metric.mean is None:
        why = f"{gate.metric} has no value" + (f" ({metric.reason})" if metric and metric.reason else "")
        return GateResult(gate=gate, about=about, outcome=GateOutcome.INCONCLUSIVE, reason=why)

    def bad(value: float) -> bool:
        return value > gate.value if scale.direction is Direction.LOWER else value < gate.value

    reason = f"{gate.metric} is {metric.mean:.4g} over {metric.n} sequences, limit {gate.value:g}"
    outcome = GateOutcome.TRIPPED if bad(metric.mean) else GateOutcome.PASSED
    series = series_of(model, gate.metric, scale)
    worst = series.to_worst
    much = outcome is GateOutcome.PASSED and series.missing_share > MISSING_LIMIT
    if much and (worst is None or bad(worst)):
        outcome = GateOutcome.INCONCLUSIVE
        at_worst = "it could be anything" if worst is None else f"it is {worst:.4g}"
        reason += f", but {series.missing_share:.0%} is missing; with what is missing at its worst {at_worst}"
    ends = metric.interval
    return GateResult(
        gate=gate,
        about=about,
        outcome=outcome,
        reason=reason,
        measured=metric.mean,
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        n=metric.n,
    )


def _regression(gate: Gate, comparison: Comparison) -> GateResult:
    about = f"{comparison.other.name} against {comparison.base.name}"
    known = comparison.other.report.quality_metrics()
    check_metrics([gate], known, f"run {comparison.other.report.provenance.name!r}")
    change = next((metric for metric in comparison.metrics if metric.metric == gate.metric), None)
    if change is None or change.pair.paired.interval is None:
        why = "one side has no value of the metric"
        if change is not None:
            why = f"too few sequences are complete on both sides for an interval ({change.pair.paired.n})"
        if gate.metric is not None and gate.metric in comparison.apart:
            why = f"the baseline was scored by another version of its scorer ({comparison.apart[gate.metric]})"
        return GateResult(gate=gate, about=about, outcome=GateOutcome.INCONCLUSIVE, reason=f"{gate.metric}: {why}")
    interval = change.pair.paired.interval
    sentence = (
        f"{gate.metric} changed by {interval.low:+.4g} to {interval.high:+.4g} (95 % interval), margin {gate.value:g}"
    )
    outcome = regressed(change.pair, change.compared, gate.value)
    missing = change.pair.missing
    if missing is not None and outcome is GateOutcome.INCONCLUSIVE:
        sentence += f"; {missing_words(missing)}"
    return GateResult(
        gate=gate,
        about=about,
        outcome=outcome,
        reason=sentence,
        measured=change.pair.paired.difference,
        low=interval.low,
        high=interval.high,
        n=change.pair.paired.n,
    )


def regressed(pair: Pair, compared: ComparedSeries, margin: float) -> GateOutcome:
    """Tripped where the verdict is "worse" and the interval lies beyond the margin, whatever the missing were."""
    missing = pair.missing
    if missing is not None and missing.lowest is None and not missing.alike:
        return GateOutcome.INCONCLUSIVE
    intervals = [test.interval for test in compared.tests]
    if any(interval is None for interval in intervals):
        return GateOutcome.INCONCLUSIVE
    if pair.verdict is PairDifference.WORSE and all(i.high < -margin for i in intervals if i):
        return GateOutcome.TRIPPED
    kept = all(interval.low >= -margin for interval in intervals if interval)
    return GateOutcome.PASSED if kept else GateOutcome.INCONCLUSIVE
