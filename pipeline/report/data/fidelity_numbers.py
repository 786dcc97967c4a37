"""Deviations summed up: statistics of a candidate against its reference, with intervals over texts. Pure.

Tokens of one text depend on each other, so texts are the sample (of a single text, its windows). A mean over tokens is
a ratio of sums over texts, r = sum x / sum n. Its interval is Student's t of the texts' linearised values
r + (x - r n) / mean n, whose mean is r (Cochran, Sampling Techniques, 1977, chapter 6); those of quantiles are by
resampling texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightjar.jobs.fidelity import Deviations, ScoredPlaces
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL, Interval, t_interval
from nightjar.pipeline.statistics.spread import bootstrap_interval

_Values = NDArray[Any]
STEPS = (0, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
"""Where tables by position and depth begin a row."""
TAIL = 0.999


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval over texts; None with too few of them."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The tokens with `low` <= position (or depth) < `high`; `high` None: all further ones."""

    low: int
    high: int | None
    tokens: int
    kld: Estimate
    same_top: Estimate


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Where the likeliest tokens first differ in a stretch of scored tokens: a window's, or a reply."""

    spans: int
    never: int
    """Stretches without a difference."""
    median: int | None
    """Tokens before the first difference; None where it is in none of half of them."""


@dataclass(frozen=True, kw_only=True)
class FidelityNumbers:
    """A candidate against its reference. Divergences in nats."""

    tokens: int
    texts: int
    unit: str
    """What the texts are: "text", "window", "sequence"."""
    exact: bool
    """Whether divergences were computed side by side, not estimated."""
    kld: Estimate
    """Mean over tokens."""
    kld_error: float | None
    """Standard error of an estimated mean: of the estimation alone, on these very tokens."""
    kld_median: Estimate
    kld_999: Estimate
    """99.9 % of the tokens have less."""
    same_top: Estimate
    """Share of the tokens where both have the same likeliest one."""
    reference_perplexity: float
    perplexity: float
    perplexity_ratio: Estimate
    """The candidate's over the reference's."""
    right_difference: Estimate
    """Mean difference of the probability of the token that follows, candidate less reference."""
    right_rms: float
    """Root mean square of those differences."""
    divergence: Divergence
    by_position: tuple[Stretch, ...]
    by_depth: tuple[Stretch, ...]


def fidelity_numbers(deviations: Deviations, places: ScoredPlaces, unit: str) -> FidelityNumbers:
    """All of it. `places.text` numbers the texts; with fewer of them than an interval takes, and of one kind "text",
    stretches of scored tokens stand for them (`sampled`)."""
    places, unit = sampled(places, unit)
    text, kl = places.text, deviations.kl
    surprise = deviations.reference_logprob - deviations.candidate_logprob
    right = np.exp(deviations.candidate_logprob) - np.exp(deviations.reference_logprob)
    variance = deviations.kl_variance
    return FidelityNumbers(
        tokens=len(kl),
        texts=len(np.unique(text)),
        unit=unit,
        exact=deviations.exact,
        kld=_at_least_zero(ratio_estimate(kl, text)),
        kld_error=None if variance is None else math.sqrt(float(variance.sum())) / len(kl),
        kld_median=quantile_estimate(kl, text, 0.5),
        kld_999=quantile_estimate(kl, text, TAIL),
        same_top=_share(ratio_estimate(deviations.same_top.astype(float), text)),
        reference_perplexity=_perplexity(deviations.reference_logprob),
        perplexity=_perplexity(deviations.candidate_logprob),
        perplexity_ratio=_exponential(ratio_estimate(surprise, text)),
        right_difference=ratio_estimate(right, text),
        right_rms=math.sqrt(float(np.mean(right**2))),
        divergence=first_divergence(deviations.same_top, places.span),
        by_position=_stretches(deviations, text, places.position),
        by_depth=_stretches(deviations, text, places.depth),
    )


def sampled(places: ScoredPlaces, unit: str) -> tuple[ScoredPlaces, str]:
    """The texts as they are; of too few plain texts for an interval their windows, and what those are called."""
    if unit != "text" or len(np.unique(places.text)) >= SMALLEST_INTERVAL:
        return places, unit
    return replace(places, text=places.span), "window"


def ratio_estimate(values: _Values, text: _Values) -> Estimate:
    """The mean over tokens; see the module."""
    _, number = np.unique(text, return_inverse=True)
    sums, sizes = np.bincount(number, weights=values), np.bincount(number)
    mean = float(values.mean())
    linearised = mean + (sums - mean * sizes) / sizes.mean()
    return Estimate(value=mean, interval=t_interval(linearised.tolist()))


def quantile_estimate(values: _Values, text: _Values, share: float) -> Estimate:
    """The smallest value that this share of the tokens does not exceed, its interval by resampling whole texts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    _, number = np.unique(text[order], return_inverse=True)
    texts = int(number.max()) + 1

    def of(drawn: _Values) -> _Values:
        """A quantile for each row of numbers of texts."""
        return np.array(
            [_weighted(ordered, np.bincount(row.astype(int), minlength=texts)[number], share) for row in drawn]
        )

    whole = _weighted(ordered, np.ones(len(ordered), int), share)
    return Estimate(value=whole, interval=bootstrap_interval([float(n) for n in range(texts)], of))


def _weighted(ordered: _Values, weights: _Values, share: float) -> float:
    reached = weights.cumsum()
    return float(ordered[np.searchsorted(reached, share * reached[-1])])


def first_divergence(same_top: _Values, span: _Values) -> Divergence:
    """`span` ascends. Stretches without a difference count as longer than any other."""
    starts = np.flatnonzero(np.r_[True, span[1:] != span[:-1]])
    ends = np.r_[starts[1:], len(span)]
    differs = np.flatnonzero(~same_top)
    at = np.searchsorted(differs, starts)
    first = np.r_[differs, len(span)][at]
    before = np.where(first < ends, first - starts, np.inf)
    median = float(np.quantile(before, 0.5, method="inverted_cdf"))
    return Divergence(
        spans=len(starts),
        never=int(np.isinf(before).sum()),
        median=int(median) if math.isfinite(median) else None,
    )


def _stretches(deviations: Deviations, text: _Values, at: _Values) -> tuple[Stretch, ...]:
    """Those of STEPS that hold tokens."""
    stretches = []
    for low, high in zip(STEPS, [*STEPS[1:], None], strict=True):
        inside = (at >= low) if high is None else (at >= low) & (at < high)
        if not inside.any():
            continue
        kl, top, texts = deviations.kl[inside], deviations.same_top[inside].astype(float), text[inside]
        stretches.append(
            Stretch(
                low=low,
                high=high,
                tokens=int(inside.sum()),
                kld=_at_least_zero(ratio_estimate(kl, texts)),
                same_top=_share(ratio_estimate(top, texts)),
            )
        )
    return tuple(stretches)


def _perplexity(logprobs: _Values) -> float:
    return float(np.exp(-logprobs.mean()))


def _mapped(estimate: Estimate, change: Callable[[Interval], Interval]) -> Estimate:
    return replace(estimate, interval=None if estimate.interval is None else change(estimate.interval))


def _at_least_zero(estimate: Estimate) -> Estimate:
    return _mapped(estimate, lambda interval: interval.within(0.0, None))


def _share(estimate: Estimate) -> Estimate:
    return _mapped(estimate, lambda interval: interval.within(0.0, 1.0))


def _exponential(estimate: Estimate) -> Estimate:
    def change(interval: Interval) -> Interval:
        return Interval(low=math.exp(interval.low), high=math.exp(interval.high), method=interval.method)

    return replace(_mapped(estimate, change), value=math.exp(estimate.value))
