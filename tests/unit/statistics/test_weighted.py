"""Means of values that count for different amounts."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.report.data.metric import MetricTally
from nightjar.pipeline.scores import Score
from nightjar.pipeline.scoring.likelihood_scorers import BITS, PERPLEXITY
from nightjar.pipeline.statistics.weighted import linear_shares

PAIRS = st.lists(st.tuples(st.floats(1.0, 1e4), st.floats(1.0, 1e4)), min_size=2, max_size=12)


def keyed(values: list[float]) -> dict[str, float]:
    return {str(at): value for at, value in enumerate(values)}


@given(PAIRS)
def test_the_shares_have_the_weighted_mean(pairs: list[tuple[float, float]]) -> None:
    values, weights = keyed([value for value, _ in pairs]), keyed([weight for _, weight in pairs])
    total = sum(weights.values())
    arithmetic = sum(weights[key] * values[key] for key in values) / total
    geometric = math.exp(sum(weights[key] * math.log(values[key]) for key in values) / total)

    assert fmean(linear_shares(values, weights).values()) == pytest.approx(arithmetic)
    assert fmean(linear_shares(values, weights, geometric=True).values()) == pytest.approx(geometric)


def test_equal_weights_change_no_value() -> None:
    assert linear_shares({"a": 1.0, "b": 3.0}, {"a": 7.0, "b": 7.0}) == {"a": 1.0, "b": 3.0}


def test_two_models_differ_by_the_difference_of_their_means() -> None:
    """Paired tests see differences of shares: their mean is that of the weighted means, text by text."""
    weights = {"a": 10.0, "b": 30.0, "c": 60.0}
    one, two = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.5, "b": 2.0, "c": 2.0}
    first, second = linear_shares(one, weights), linear_shares(two, weights)
    expected = sum(weights[key] * (one[key] - two[key]) for key in weights) / 100

    assert fmean(first[key] - second[key] for key in weights) == pytest.approx(expected)


def test_a_corpus_has_the_perplexity_of_all_its_words_and_an_interval_by_texts() -> None:
    """As lm-eval adds up: exp(sum of nats / sum of words), not the mean of the texts' perplexities."""
    texts = [(100.0, 20), (900.0, 300), (50.0, 25), (300.0, 90), (10.0, 4), (700.0, 200)]  # nats, words
    tally = MetricTally("word_perplexity")
    for at, (nats, words) in enumerate(texts):
        tally.add((str(at), 0), Score(value=math.exp(nats / words), weight=float(words)))
    metric = tally.metric(PERPLEXITY)
    total = math.exp(sum(nats for nats, _ in texts) / sum(words for _, words in texts))

    assert metric.mean == pytest.approx(total)
    assert metric.interval is not None
    assert metric.interval.low < total < metric.interval.high
    assert metric.weight == 639
    assert metric.n == 6


def test_the_standard_error_is_that_of_a_ratio() -> None:
    """Against the textbook's linearised variance of sum(y) / sum(x)."""
    bits, sizes = [8.0, 30.0, 3.0, 40.0, 9.0], [4.0, 10.0, 2.0, 16.0, 5.0]
    tally = MetricTally("bits_per_byte")
    for at, (total, size) in enumerate(zip(bits, sizes, strict=True)):
        tally.add((str(at), 0), Score(value=total / size, weight=size))
    ratio = sum(bits) / sum(sizes)
    residuals = [total - ratio * size for total, size in zip(bits, sizes, strict=True)]
    expected = stdev(residuals) / math.sqrt(5) / fmean(sizes)

    assert tally.metric(BITS).stderr == pytest.approx(expected)


def test_turns_of_one_text_add_up_before_texts_do() -> None:
    """Two turns of a sequence: its own corpus."""
    tally = MetricTally("bits_per_byte")
    tally.add(("a", 0), Score(value=1.0, weight=10.0))
    tally.add(("a", 0), Score(value=3.0, weight=30.0))

    assert tally.metric(BITS).mean == pytest.approx(2.5)
