"""What replies would have cost at a reference model, and so what was saved: an estimate with its interval. Pure.

Nobody knows what the reference model would have written. Evaluations in which it answered the same prompts say how much
its conversations cost, by its own price, for a dollar's worth of another model's tokens at that price: a ratio of sums
over sequences, with the usual linearised variance (Cochran, Sampling Techniques, chapter 6) and Student's t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from nightjar.jobs.money.paired_use import PairedUse
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.pipeline.routing.words import saved_text

LEAST_SEQUENCES = 20
_Z = 1.959964
"""Of 95 %, two-sided."""


@dataclass(frozen=True, kw_only=True)
class CostRatio:
    """The reference's cost for a dollar of other models' tokens at its price, with a 95 % interval."""

    mean: float
    low: float
    high: float
    sequences: int


@dataclass(frozen=True, kw_only=True)
class Savings:
    """US dollars. `counterfactual`: what the replies would have cost at the reference. None: unknown."""

    counterfactual_usd: float | None = None
    saved_usd: float | None = None
    low_usd: float | None = None
    high_usd: float | None = None
    assumption: str

    @property
    def text(self) -> str:
        return saved_text(self.saved_usd, self.low_usd, self.high_usd)


def cost_ratio(pairs: Sequence[PairedUse], price: Price) -> CostRatio | None:
    """None where fewer than 20 sequences were answered by both, or the others' tokens cost nothing."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for pair in pairs:
        of_sequence = sums[pair.sequence]
        of_sequence[0] += price.cost(pair.reference)
        of_sequence[1] += price.cost(pair.other)
    count = len(sums)
    theirs, ours = (sum(each[index] for each in sums.values()) for index in (0, 1))
    if count < LEAST_SEQUENCES or ours <= 0:
        return None
    mean = theirs / ours
    spread = sum((reference - mean * other) ** 2 for reference, other in sums.values())
    half = _t(count - 1) * sqrt(count / (count - 1) * spread) / ours
    return CostRatio(mean=mean, low=max(0.0, mean - half), high=mean + half, sequences=count)


def _t(degrees: int) -> float:
    """Student's quantile, 95 % two-sided, by its expansion around the normal one (Cornish and Fisher): for 19 degrees
    and more it is right to three digits.
    """
    first = (_Z**3 + _Z) / 4
    second = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96
    return _Z + first / degrees + second / degrees**2


def savings(
    reference: str, price: Price, given: TokenUse, paid_usd: float, ratio: CostRatio | None, *, left_out: int
) -> Savings:
    """`given`: tokens of all replies that were handed out but the reference's own, cached ones among them; `paid_usd`:
    what they cost at endpoints. `left_out`: replies at an unknown price, which are not in it.
    """
    plain = price.cost(given)
    if ratio is None:
        how = (
            f"{reference} is taken to write as many tokens; fewer than {LEAST_SEQUENCES} sequences were answered by it "
            "and by another model, so that there is no interval"
        )
    else:
        how = (
            f"{reference} costs for the same prompts {ratio.mean:.3g} times what others' tokens cost at its price "
            f"(95 %: {ratio.low:.3g} to {ratio.high:.3g}; {ratio.sequences} sequences of evaluations, taken to be like "
            "these requests)"
        )
    said = (
        f"By {reference}'s price, ${price.input:g} and ${price.output:g} per million tokens of prompt and reply "
        f"({price.source}): {how}. Its own replies save nothing, electricity is not counted"
        + (f", and {left_out} at an unknown price are left out." if left_out else ".")
    )
    if ratio is None:
        return Savings(counterfactual_usd=plain, saved_usd=plain - paid_usd, assumption=said)
    return Savings(
        counterfactual_usd=plain * ratio.mean,
        saved_usd=plain * ratio.mean - paid_usd,
        low_usd=plain * ratio.low - paid_usd,
        high_usd=plain * ratio.high - paid_usd,
        assumption=said,
    )
