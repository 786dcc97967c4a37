"""Rows of logits reduced, held against the plain formulas; what is estimated, against what is exact."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from nightjar.workers.fidelity.rows import RowNumbers, compare_rows
from nightjar.workers.fidelity.sketch import DRAWN, RECORD, TOP, estimate_rows, sketch_rows

VOCABULARY = 3_000


def plain(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> NDArray[np.float64]:
    """sum p log(p/q), row by row, as a textbook writes it."""
    p, q = (np.exp(rows.astype(np.float64)) for rows in (reference, candidate))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    divergence: NDArray[np.float64] = (p * np.log(p / q)).sum(axis=1)
    return divergence


def two(seed: int, rows: int = 8, noise: float = 0.5, spread: float = 3.0) -> tuple[NDArray[np.float32], ...]:
    """Rows of logits, and the same with noise: what quantising does."""
    source = np.random.default_rng(seed)
    reference = source.normal(0, spread, (rows, VOCABULARY)).astype(np.float32)
    return reference, (reference + source.normal(0, noise, reference.shape)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("shift", [0.0, 30.0], ids=["", "logits are known up to a constant"])
def test_the_plain_formulas(noise: float, shift: float) -> None:
    reference, candidate = two(1, noise=noise)
    right = np.arange(8) * 7
    numbers = compare_rows(reference + np.float32(shift), candidate, right)
    assert numbers.kl == pytest.approx(plain(reference, candidate), rel=1e-4, abs=1e-6)
    assert numbers.kl_variance is None
    assert (numbers.same_top == (reference.argmax(1) == candidate.argmax(1))).all()
    logs = candidate - np.log(np.exp(candidate.astype(np.float64)).sum(1, keepdims=True))
    assert numbers.candidate_logprob == pytest.approx(logs[np.arange(8), right], abs=1e-5)
    logs = reference - np.log(np.exp(reference.astype(np.float64)).sum(1, keepdims=True))
    assert numbers.reference_logprob == pytest.approx(logs[np.arange(8), right], abs=1e-5)


LOGITS = arrays(np.float32, (3, 40), elements=st.floats(-40, 40, width=32))


@given(LOGITS, LOGITS)
def test_a_divergence_is_never_negative(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> None:
    right = np.zeros(3, np.int64)
    numbers = compare_rows(reference, candidate, right)
    assert (numbers.kl >= 0).all()
    assert numbers.kl == pytest.approx(plain(reference, candidate), rel=1e-3, abs=1e-4)
    assert (compare_rows(reference, reference, right).kl == 0).all()  # of equal rows it is 0, not nearly 0
    records = sketch_rows(reference, right, np.random.default_rng(1))
    assert (estimate_rows(records, candidate, right).kl >= 0).all()


def estimates(reference: NDArray[np.float32], candidate: NDArray[np.float32], seed: int) -> RowNumbers:
    right = np.arange(len(reference))
    return estimate_rows(sketch_rows(reference, right, np.random.default_rng(seed)), candidate, right)


@pytest.mark.parametrize("noise", [0.05, 0.5, 2.0])
def test_the_estimate_is_unbiased_within_its_error(noise: float) -> None:
    """Over seeds its mean is the exact divergence, and its standard error says how far single ones are away."""
    reference, candidate = two(2, noise=noise, spread=1.5)  # a flat distribution: nearly all of it is in the rest
    exact = compare_rows(reference, candidate, np.arange(8)).kl.mean()
    runs = [estimates(reference, candidate, seed) for seed in range(60)]
    means = np.array([run.kl.mean() for run in runs])
    errors = np.array([np.sqrt(run.kl_variance.sum()) / 8 for run in runs if run.kl_variance is not None])
    assert abs(means.mean() - exact) < 3.5 * means.std(ddof=1) / np.sqrt(len(means))
    assert errors.mean() == pytest.approx(means.std(ddof=1), rel=0.35)
    assert errors.mean() < 0.2 * exact


def test_all_but_the_divergence_is_exact_in_an_estimate() -> None:
    reference, candidate = two(3)
    right = np.arange(8)
    exact, estimate = compare_rows(reference, candidate, right), estimates(reference, candidate, 1)
    assert (estimate.same_top == exact.same_top).all()
    assert estimate.reference_logprob == pytest.approx(exact.reference_logprob, abs=1e-5)
    assert (estimate.candidate_logprob == exact.candidate_logprob).all()


def test_the_same_row_again_is_nearly_nothing_though_it_was_rounded() -> None:
    reference, _ = two(4)
    assert estimates(reference, reference, 1).kl.max() < 1e-5


def test_a_vocabulary_smaller_than_what_is_kept() -> None:
    reference, candidate = (rows[:, :30] for rows in two(5))
    right = np.arange(8)
    numbers = estimates(reference, candidate, 1)
    assert numbers.kl == pytest.approx(compare_rows(reference, candidate, right).kl, rel=5e-3)  # rounded to 16 bits
    assert numbers.kl_variance is not None
    assert (numbers.kl_variance == 0).all()  # nothing is left to draw from


def test_what_is_kept_of_200_000_rows_is_a_file_of_less_than_200_mb() -> None:
    assert 200_000 * RECORD.itemsize < 200e6
    reference, _ = two(6, rows=1)
    [record] = sketch_rows(reference, np.zeros(1, np.int64), np.random.default_rng(1))
    assert len(record["top"]) == TOP
    assert len(record["drawn"]) == DRAWN
    assert not set(record["top"]) & set(record["drawn"])
    assert record["top"][0] == reference.argmax()
