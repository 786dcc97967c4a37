"""Two rows of logits reduced to numbers: the exact Kullback-Leibler divergence and what goes with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RowsOfLogits = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RowNumbers:
    """What is kept of some rows: arrays with an entry a row; as in `jobs.fidelity.Deviations`."""

    kl: Doubles
    kl_variance: Doubles | None
    same_top: NDArray[np.bool_]
    reference_logprob: Doubles
    candidate_logprob: Doubles

    @classmethod
    def joined(cls, parts: list[RowNumbers]) -> RowNumbers:
        """The rows of all parts, one after the other; all parts are exact, or none is."""
        variances = [part.kl_variance for part in parts if part.kl_variance is not None]
        assert len(variances) in (0, len(parts))
        return cls(
            kl=np.concatenate([part.kl for part in parts]),
            kl_variance=np.concatenate(variances) if variances else None,
            same_top=np.concatenate([part.same_top for part in parts]),
            reference_logprob=np.concatenate([part.reference_logprob for part in parts]),
            candidate_logprob=np.concatenate([part.candidate_logprob for part in parts]),
        )


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """The distributions of some rows of logits. `weights` / `total` are the probabilities.

    Computing in single precision and summing in double keeps divergences to about 1e-7 nats, in a tenth of the time.
    """

    shifted: RowsOfLogits
    """Logits less the row's largest."""
    weights: RowsOfLogits
    total: Doubles

    @classmethod
    def of(cls, logits: RowsOfLogits) -> Softmax:
        """Of rows of logits."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        weights = np.exp(shifted)
        return cls(shifted=shifted, weights=weights, total=weights.sum(axis=1, dtype=np.float64))

    def logprobs(self, ids: NDArray[np.int64]) -> Doubles:
        """Natural logarithms of the probabilities of these entries, some of each row: rows x entries."""
        taken = np.take_along_axis(self.shifted, ids, axis=1).astype(np.float64)
        logs: Doubles = taken - np.log(self.total)[:, None]
        return logs


def compare_rows(reference: RowsOfLogits, candidate: RowsOfLogits, right: NDArray[np.int64]) -> RowNumbers:
    """Rows of two loads after the same tokens; `right`: the token that follows each in the text.

    KL(p || q) = sum p log(p/q) = sum p (a - b) - (log sum exp a - log sum exp b) for logits a and b.
    """
    p, q = Softmax.of(reference), Softmax.of(candidate)
    weighted = p.weights * (p.shifted - q.shifted)
    kl = weighted.sum(axis=1, dtype=np.float64) / p.total - (np.log(p.total) - np.log(q.total))
    return RowNumbers(
        kl=np.maximum(kl, 0.0),  # what rounding makes of equal rows
        kl_variance=None,
        same_top=reference.argmax(axis=1) == candidate.argmax(axis=1),
        reference_logprob=p.logprobs(right[:, None])[:, 0],
        candidate_logprob=q.logprobs(right[:, None])[:, 0],
    )
