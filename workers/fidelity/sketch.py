"""What is kept of a reference's rows for loads that cannot be in memory beside it, and what is estimated from it. Pure.

Of each row: the likeliest entries, and some drawn from the rest by their own probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nightjar.workers.fidelity.rows import Doubles, RowNumbers, RowsOfLogits, Softmax

TOP = 64
DRAWN = 64
RECORD = np.dtype(
    [
        ("top", np.int32, TOP),
        ("drawn", np.int32, DRAWN),
        ("top_logprob", np.float16, TOP),
        ("drawn_logprob", np.float16, DRAWN),
        ("rest", np.float32),
        ("right_logprob", np.float32),
    ]
)
"""A row: 776 bytes, 155 MB for 200,000. `top` is in order, the likeliest first; `rest`: probability of all others."""


def sketch_rows(reference: RowsOfLogits, right: NDArray[np.int64], source: np.random.Generator) -> NDArray[np.void]:
    """Records of these rows; the entries of the rest are drawn with replacement."""
    p = Softmax.of(reference)
    records = np.zeros(len(reference), RECORD)
    records["right_logprob"] = p.logprobs(right[:, None])[:, 0]
    kept = min(TOP, reference.shape[1])
    top = np.argpartition(reference, -kept, axis=1)[:, -kept:]
    top.sort(axis=1)  # of equal entries the first is the likeliest, as everywhere
    order = np.argsort(-np.take_along_axis(reference, top, axis=1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, axis=1)
    records["top"][:, :kept], records["top_logprob"][:, :kept] = top, p.logprobs(top)
    records["top_logprob"][:, kept:] = -np.inf
    others = p.weights
    np.put_along_axis(others, top, 0.0, axis=1)
    reached = others.cumsum(axis=1, dtype=np.float64)
    rest = reached[:, -1:]
    records["rest"] = (rest[:, 0] / p.total).astype(np.float32)
    points = source.random((len(reference), DRAWN)) * rest
    drawn = np.stack([np.searchsorted(row, at, side="right") for row, at in zip(reached, points, strict=True)])
    drawn = np.minimum(drawn, reference.shape[1] - 1)
    records["drawn"], records["drawn_logprob"] = drawn, p.logprobs(drawn)
    return records


def estimate_rows(records: NDArray[np.void], candidate: RowsOfLogits, right: NDArray[np.int64]) -> RowNumbers:
    """What `compare_rows` says, the divergence estimated with its variance; all else is exact.

    With f(p, q) = p log(p/q) + q - p, which sums to KL(p || q) over the vocabulary: the sum over the top, and for the
    rest P_r mean(f/p) = P_r mean(log p/q + q/p - 1) over the drawn, where P_r is the probability of the rest. That is
    the importance-sampling estimate of sum p log(p/q) with q/p - 1, whose sum is known, as its control variate (Owen,
    Monte Carlo theory, methods and examples, chapters 8 and 9). No term is negative, and rounding of p cancels to first
    order.
    """
    q = Softmax.of(candidate)
    top_p, drawn_p = (records[name].astype(np.float64) for name in ("top_logprob", "drawn_logprob"))
    there = np.isfinite(top_p)
    top_terms = _terms(np.where(there, top_p, 0.0), q.logprobs(records["top"].astype(np.int64)))
    ratios = _terms(drawn_p, q.logprobs(records["drawn"].astype(np.int64)))
    rest = records["rest"].astype(np.float64)
    kept: Doubles = np.where(there, np.exp(top_p) * top_terms, 0.0).sum(axis=1)
    return RowNumbers(
        kl=kept + rest * np.where(rest > 0, ratios.mean(axis=1), 0.0),
        kl_variance=np.where(rest > 0, rest**2 * ratios.var(axis=1, ddof=1) / DRAWN, 0.0),
        same_top=records["top"][:, 0] == candidate.argmax(axis=1),
        reference_logprob=records["right_logprob"].astype(np.float64),
        candidate_logprob=q.logprobs(right[:, None])[:, 0],
    )


def _terms(log_p: Doubles, log_q: Doubles) -> Doubles:
    """f/p = log(p/q) + q/p - 1."""
    difference = log_p - log_q
    terms: Doubles = np.expm1(-difference) + difference
    return terms
