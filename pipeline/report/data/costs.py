"""What a run's models at endpoints cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightjar.jobs.remote_models import Price, Spending, usd_text
from nightjar.jobs.states import JobKind

ROLES: Mapping[JobKind, str] = {JobKind.REPLY: "replies", JobKind.JUDGE: "verdicts", JobKind.EMBED: "embeddings"}


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """One model, or one policy, in one role. `usd` is None where no price is known; neither is an estimate, or an
    unknown, ever 0.
    """

    model: str
    role: str
    """replies, verdicts or embeddings."""
    requests: int
    usd: float | None
    usd_per_job: float | None
    """A conversation, a verdict or a comparison: over the jobs that are done."""
    unpriced: int
    """Requests whose price is unknown; they are not in `usd`."""
    estimated: int
    """Requests whose tokens the endpoint did not tell; their texts' lengths, or what was reserved, count."""
    open: int
    """Requests under way, which count as all that is reserved."""
    prompt_tokens: int
    cached_tokens: int
    reply_tokens: int
    price: str | None
    """In words, with its source; None where it is unknown."""

    @property
    def text(self) -> str:
        """ "$0.0042", "at least $0.0042", "unknown"."""
        return usd_text(self.usd, unpriced=self.unpriced)


def model_costs(
    spent: Sequence[Spending], prices: Mapping[str, Sequence[Price | None]], done: Mapping[tuple[str, JobKind], int]
) -> tuple[ModelCost, ...]:
    """`prices`: of the run's models, of a policy those of its candidates; `done`: jobs by model and kind."""
    return tuple(
        ModelCost(
            model=each.model,
            role=ROLES.get(each.kind, str(each.kind)),
            requests=each.requests,
            usd=each.usd,
            usd_per_job=_per(each, done.get((each.model, each.kind), 0)),
            unpriced=each.unpriced,
            estimated=each.estimated,
            open=each.open,
            prompt_tokens=each.prompt_tokens,
            cached_tokens=each.cached_tokens,
            reply_tokens=each.reply_tokens,
            price=_words(prices.get(each.model, ())),
        )
        for each in spent
    )


def _per(spent: Spending, jobs: int) -> float | None:
    return spent.usd / jobs if spent.usd is not None and jobs and not spent.unpriced else None


def _words(prices: Sequence[Price | None]) -> str | None:
    known = [_price_words(price) for price in prices if price is not None]
    return "; or ".join(dict.fromkeys(known)) or None


def _price_words(price: Price) -> str:
    cached = "" if price.cached_input is None else f", ${price.cached_input:g} cached"
    return f"${price.input:g} in{cached}, ${price.output:g} out per million tokens ({price.source})"
