"""What a policy saves at endpoints, against its default answering everything. Counterfactual, and said so. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from nightjar.config.counting import are, how_many
from nightjar.jobs.remote_models import usd_text
from nightjar.pipeline.routing.words import saved_text

LEAST_KNOWN = 20
"""Conversations of the default with a known price; fewer give no interval."""
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True)
class SavingsEvidence:
    """What is known. `elsewhere`: conversations that others than the default answered, for `paid_usd`.

    The default's conversations with a known price: how many, their mean and deviation.
    """

    default: str
    elsewhere: int
    paid_usd: float | None
    """None: some of it has no price."""
    known: int = 0
    mean_usd: float = 0.0
    deviation_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunSavings:
    """US dollars, with the ends of a 95 % interval; None where nothing can be said, and `words` says why."""

    usd: float | None
    low: float | None
    high: float | None
    words: str

    @property
    def text(self) -> str:
        return saved_text(self.usd, self.low, self.high)


def run_savings(evidence: SavingsEvidence) -> RunSavings:
    """Each conversation that went elsewhere would have cost what the default's cost, in the mean of those that are
    known. The interval is of that: both the mean's own error and the scatter of so many conversations are in it.
    """
    default, count = evidence.default, evidence.elsewhere
    if not count:
        return _nothing(f"No conversation went to another than {default} yet.")
    if evidence.paid_usd is None:
        return _nothing("Nobody knows the price of a model that answered, so that nothing can be said.")
    if evidence.known < LEAST_KNOWN or evidence.deviation_usd is None:
        return _nothing(
            f"{how_many(evidence.known, 'conversation')} of {default} with a known price {are(evidence.known)} there, "
            f"and fewer than {LEAST_KNOWN} give no interval."
        )
    would = count * evidence.mean_usd
    error = count * evidence.deviation_usd * math.sqrt(1 / evidence.known + 1 / count)
    saved = would - evidence.paid_usd
    return RunSavings(
        usd=saved,
        low=saved - _Z * error,
        high=saved + _Z * error,
        words=(
            f"Counterfactual: had {default} answered the {how_many(count, 'conversation')} that went to others, each "
            f"is assumed to have cost {usd_text(evidence.mean_usd)}, the mean of the "
            f"{how_many(evidence.known, 'conversation')} of it in the same runs. What was paid for them, "
            f"{usd_text(evidence.paid_usd)}, is taken off. Electricity is not in it, nor what a better or worse reply "
            "is worth."
        ),
    )


def _nothing(words: str) -> RunSavings:
    return RunSavings(usd=None, low=None, high=None, words=words)
