"""What measured deviations come to: means with intervals over texts, where a text first differs, gates, the front."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import GateOutcome
from nightjar.jobs.fidelity import Deviations, ScoredPlaces
from nightjar.pipeline.compare.drift import check_drift, parse_drifts
from nightjar.pipeline.report.data.fidelity_costs import FrontMeasure, pareto_front
from nightjar.pipeline.report.data.fidelity_numbers import (
    FidelityNumbers,
    fidelity_numbers,
    first_divergence,
    ratio_estimate,
)
from nightjar.workers.fidelity.passages import Passage, places_of

TEXTS, TOKENS = 12, 100


def places(texts: int = TEXTS) -> ScoredPlaces:
    passages = [Passage(ids=tuple(range(TOKENS + 1)), spans=((1, TOKENS + 1),), text=text) for text in range(texts)]
    return places_of(passages)


def deviations(seed: int = 1, texts: int = TEXTS, variance: float | None = None) -> Deviations:
    """Divergences that differ from text to text."""
    source = np.random.default_rng(seed)
    level = np.repeat(source.gamma(2, 0.02, texts), TOKENS)
    kl = source.exponential(level)
    reference = -source.exponential(2, len(kl))
    return Deviations(
        kl=kl,
        kl_variance=None if variance is None else np.full(len(kl), variance),
        same_top=source.random(len(kl)) > 0.1,
        reference_logprob=reference,
        candidate_logprob=reference - 0.05 + source.normal(0, 0.1, len(kl)),
    )


def numbers(**changes: object) -> FidelityNumbers:
    return replace(fidelity_numbers(deviations(), places(), "text"), **changes)  # type: ignore[arg-type]


def test_the_numbers_are_those_of_all_tokens_and_intervals_those_of_texts() -> None:
    found, measured = fidelity_numbers(deviations(), places(), "text"), deviations()
    assert (found.tokens, found.texts, found.unit, found.exact) == (1200, 12, "text", True)
    assert found.kld.value == pytest.approx(measured.kl.mean())
    assert found.same_top.value == pytest.approx(measured.same_top.mean())
    assert found.perplexity == pytest.approx(np.exp(-measured.candidate_logprob.mean()))
    assert found.perplexity_ratio.value == pytest.approx(found.perplexity / found.reference_perplexity)
    assert found.kld_median.value == pytest.approx(np.median(measured.kl), rel=0.01)
    assert found.kld_999.value == np.sort(measured.kl)[1198]
    right = np.exp(measured.candidate_logprob) - np.exp(measured.reference_logprob)
    assert found.right_difference.value == pytest.approx(right.mean())
    assert found.right_rms == pytest.approx(math.sqrt((right**2).mean()))
    for estimate in (found.kld, found.kld_median, found.kld_999, found.same_top, found.perplexity_ratio):
        assert estimate.interval is not None
        assert estimate.interval.low <= estimate.value <= estimate.interval.high
    over_tokens = 1.96 * measured.kl.std() / math.sqrt(1200)
    assert found.kld.interval is not None
    assert found.kld.interval.high - found.kld.value > 2 * over_tokens  # tokens of a text resemble each other


def test_equal_texts_give_the_interval_of_their_means() -> None:
    """Of texts of one length the ratio is the mean of means, and its interval Student's t of those."""
    from nightjar.pipeline.statistics.intervals import t_interval

    measured, at = deviations(), places()
    means = measured.kl.reshape(TEXTS, TOKENS).mean(axis=1)
    found, expected = ratio_estimate(measured.kl, at.text).interval, t_interval(means.tolist())
    assert found is not None
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_ratio_covers_it_where_texts_have_different_lengths() -> None:
    source, hits = np.random.default_rng(5), 0
    for _ in range(300):
        sizes = source.integers(5, 200, 20)
        text = np.repeat(np.arange(20), sizes)
        values = np.repeat(source.normal(1, 0.3, 20), sizes) + source.normal(0, 0.5, len(text))
        interval = ratio_estimate(values, text).interval
        assert interval is not None
        hits += interval.low <= 1 <= interval.high
    assert 0.88 <= hits / 300 <= 0.99


def test_the_windows_stand_for_a_single_text() -> None:
    windows = replace(places(), text=np.zeros(TEXTS * TOKENS, int))
    found = fidelity_numbers(deviations(), windows, "text")
    assert (found.texts, found.unit) == (12, "window")
    assert found.kld.interval is not None
    few = fidelity_numbers(deviations(texts=3), places(3), "sequence")
    assert (few.texts, few.unit, few.kld.interval) == (3, "sequence", None)


@pytest.mark.parametrize(
    ("spans", "spans_count", "never", "median"),
    [
        (["==x=", "x===", "===="], 3, 1, 2),
        (["====", "====", "x==="], 3, 2, None),  # most never differ
        (["x", "x"], 2, 0, 0),
        (["=x", "====x", "x"], 3, 0, 1),
    ],
)
def test_where_a_text_first_differs(spans: list[str], spans_count: int, never: int, median: int | None) -> None:
    same = np.array([sign == "=" for span in spans for sign in span])
    span = np.repeat(np.arange(len(spans)), [len(each) for each in spans])
    found = first_divergence(same, span)
    assert (found.spans, found.never, found.median) == (spans_count, never, median)


def test_by_position_and_depth_every_token_is_in_one_row() -> None:
    found = fidelity_numbers(deviations(), places(), "text")
    assert [(s.low, s.high, s.tokens) for s in found.by_position] == [(0, 16, 192), (16, 64, 576), (64, 256, 432)]
    assert sum(stretch.tokens for stretch in found.by_depth) == 1200
    assert sum(s.kld.value * s.tokens for s in found.by_depth) / 1200 == pytest.approx(found.kld.value)


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ("kld:1", "passed"),
        ("kld:0.001", "tripped"),
        ("kld:0", "tripped"),
        ("kld_999:0.01", "tripped"),
        ("changed_top:0.05", "tripped"),  # about a tenth
        ("changed_top:0.2", "passed"),
        ("perplexity:0.01", "tripped"),  # the candidate's is about 5 % more
        ("perplexity:0.2", "passed"),
    ],
)
def test_a_gate_holds_the_value_against_its_limit(gate: str, outcome: str) -> None:
    [result] = check_drift(parse_drifts([gate, gate]), "small", numbers())
    assert result.outcome == outcome
    assert result.sentence().startswith(f"Gate --fail-on-drift {gate} {outcome} for small: ")


def test_an_estimate_near_its_limit_decides_nothing() -> None:
    found = fidelity_numbers(deviations(variance=1e-4), places(), "text")
    assert found.kld_error is not None
    assert found.kld_error == pytest.approx(0.01 / math.sqrt(1200))
    limits = (
        found.kld.value + found.kld_error,
        found.kld.value + 3 * found.kld_error,
        found.kld.value - found.kld_error * 3,
    )
    outcomes = [check_drift(parse_drifts([f"kld:{limit!r}"]), "m", found)[0].outcome for limit in limits]
    assert outcomes == [GateOutcome.INCONCLUSIVE, GateOutcome.PASSED, GateOutcome.TRIPPED]


@pytest.mark.parametrize("text", ["kld", "kld:", ":0.1", "kld:much", "kld:-1", "kld:nan", "divergence:0.1"])
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on-drift"):
        parse_drifts([text])


@pytest.mark.parametrize(
    ("kld", "size", "front"),
    [
        ({"f16": 0, "q8": 0.01, "q4": 0.1}, {"f16": 16, "q8": 8, "q4": 4}, {"f16", "q8", "q4"}),
        ({"f16": 0, "q8": 0.01, "q5": 0.2, "q4": 0.1}, {"f16": 16, "q8": 8, "q5": 5, "q4": 4}, {"f16", "q8", "q4"}),
        ({"f16": 0, "again": 0}, {"f16": 16, "again": 16}, {"f16", "again"}),  # equal loads are on it together
        ({"f16": 0, "larger": 0}, {"f16": 16, "larger": 17}, {"f16"}),
    ],
)
def test_the_front(kld: dict[str, float], size: dict[str, float], front: set[str]) -> None:
    measures = [FrontMeasure(name="divergence", values=kld), FrontMeasure(name="file size", values=size)]
    assert pareto_front(list(kld), measures) == front
