"""The gate `--fail-on-drift`: how far a candidate may be from its reference. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.ending import Gate, GateKind, GateOutcome, GateResult
from nightjar.pipeline.report.data.fidelity_numbers import Estimate, FidelityNumbers
from nightjar.pipeline.statistics.intervals import Interval

SURE = 1.96
"""Standard errors of an estimate within which a limit is not decided."""


def _complement(estimate: Estimate) -> Estimate:
    interval = estimate.interval
    turned = interval and Interval(low=1 - interval.high, high=1 - interval.low, method=interval.method)
    return Estimate(value=1 - estimate.value, interval=turned)


def _less_one(estimate: Estimate) -> Estimate:
    interval = estimate.interval
    moved = interval and Interval(low=interval.low - 1, high=interval.high - 1, method=interval.method)
    return Estimate(value=estimate.value - 1, interval=moved)


DRIFTS: Mapping[str, Callable[[FidelityNumbers], Estimate]] = {
    "kld": lambda numbers: numbers.kld,
    "kld_median": lambda numbers: numbers.kld_median,
    "kld_999": lambda numbers: numbers.kld_999,
    "changed_top": lambda numbers: _complement(numbers.same_top),
    "perplexity": lambda numbers: _less_one(numbers.perplexity_ratio),
}
"""What can be gated; of each, less is better: changed_top is a share, perplexity the ratio less 1."""
_ESTIMATED = ("kld", "kld_median", "kld_999")


def parse_drifts(texts: Iterable[str]) -> tuple[Gate, ...]:
    """METRIC:LIMIT, each once. Raises UsageError."""
    return tuple(dict.fromkeys(_parse(text) for text in texts))


def _parse(text: str) -> Gate:
    metric, _, number = text.rpartition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not metric or not math.isfinite(value) or value < 0:
        raise UsageError(f"{GateKind.DRIFT.value} {text!r} is not METRIC:LIMIT with a limit of 0 or more: kld:0.02.")
    if metric not in DRIFTS:
        raise UsageError(f"{GateKind.DRIFT.value} {text!r}: {suggest(metric, DRIFTS, 'metric')}")
    return Gate(kind=GateKind.DRIFT, metric=metric, value=value)


def check_drift(gates: Iterable[Gate], label: str, numbers: FidelityNumbers) -> list[GateResult]:
    """The value on the tokens that were read decides: it is no sample of anything that is gated. Where it is estimated
    and the limit lies within its error, the gate is inconclusive."""
    return [_checked(gate, label, numbers) for gate in gates]


def unmeasured(gates: Iterable[Gate], about: str) -> list[GateResult]:
    """What drift is where nothing was measured: inconclusive."""
    why = "nothing was measured against a reference; see --fidelity-to and the report's notices"
    return [GateResult(gate=gate, about=about, outcome=GateOutcome.INCONCLUSIVE, reason=why) for gate in gates]


def _checked(gate: Gate, label: str, numbers: FidelityNumbers) -> GateResult:
    assert gate.metric is not None
    estimate = DRIFTS[gate.metric](numbers)
    outcome = GateOutcome.TRIPPED if estimate.value > gate.value else GateOutcome.PASSED
    reason = f"{gate.metric} is {estimate.value:.4g} over {numbers.tokens:,} tokens, limit {gate.value:g}"
    error = numbers.kld_error if gate.metric in _ESTIMATED else None
    if error is not None and gate.metric == "kld" and abs(estimate.value - gate.value) <= SURE * error:
        outcome = GateOutcome.INCONCLUSIVE
        reason += f", which is within the error of the estimate ({error:.2g})"
    elif error is not None and gate.metric != "kld":
        reason += " (approximate)"
    interval = estimate.interval
    return GateResult(
        gate=gate,
        about=label,
        outcome=outcome,
        reason=reason,
        measured=estimate.value,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=numbers.texts,
    )
