"""What a run's models cost: those at endpoints by their prices, local ones by what their cards used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightjar.jobs.money.energy import EnergyUse
from nightjar.jobs.remote_models import ROLES, Price, Spending, usd_text
from nightjar.jobs.states import JobKind


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """One model, or one policy, in one role. `usd` is None where no price is known; neither is an estimate, or an
    unknown, ever 0.
    """

    model: str
    role: str
    """replies, verdicts or embeddings."""
    requests: int
    """Of a local model its replies, verdicts or comparisons that are done."""
    usd: float | None
    usd_per_job: float | None
    """A conversation, a verdict or a comparison: over the jobs that are done."""
    unpriced: int
    """Requests whose price, or of a local model whose energy, is unknown; they are not in `usd`."""
    estimated: int
    """Requests whose tokens the endpoint did not tell; their texts' lengths, or what was reserved, count."""
    open: int
    """Requests under way, which count as all that is reserved."""
    prompt_tokens: int | None
    """None: nobody counts what local judges and embedders read and write."""
    cached_tokens: int | None
    reply_tokens: int | None
    price: str | None
    """In words, with its source; None where it is unknown."""
    jobs: int | None = None
    """Conversations, verdicts or comparisons that are done; None in reports from before they were kept."""

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
            role=each.role,
            requests=each.requests,
            usd=each.usd,
            usd_per_job=each.each(done.get((each.model, each.kind), 0)),
            unpriced=each.unpriced,
            estimated=each.estimated,
            open=each.open,
            prompt_tokens=each.prompt_tokens,
            cached_tokens=each.cached_tokens,
            reply_tokens=each.reply_tokens,
            price=_words(prices.get(each.model, ())),
            jobs=done.get((each.model, each.kind), 0),
        )
        for each in spent
    )


@dataclass(frozen=True, kw_only=True)
class LocalWork:
    """What a local model did in one role. Tokens are None where nobody counts them."""

    model: str
    kind: JobKind
    energy: EnergyUse
    jobs: int
    requests: int
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reply_tokens: int | None = None


def electricity_costs(work: Iterable[LocalWork]) -> tuple[ModelCost, ...]:
    """Of the models on whose hosts a kilowatt-hour has a price; what their cards do not tell is unknown, never 0."""
    return tuple(
        ModelCost(
            model=each.model,
            role=ROLES.get(each.kind, str(each.kind)),
            requests=each.requests,
            usd=each.energy.usd,
            usd_per_job=each.energy.usd / each.jobs if each.energy.usd is not None and each.jobs else None,
            unpriced=each.requests if each.energy.usd is None else 0,
            estimated=0,
            open=0,
            prompt_tokens=each.prompt_tokens,
            cached_tokens=each.cached_tokens,
            reply_tokens=each.reply_tokens,
            price=_electricity_words(each),
            jobs=each.jobs,
        )
        for each in work
        if each.energy.prices
    )


def _electricity_words(work: LocalWork) -> str:
    price = " and ".join(f"${price:g}" for price in work.energy.prices)
    joules = work.energy.joules
    if joules is None:
        return f"{price} a kWh; no card tells what it uses"
    each = "" if not work.reply_tokens else f", {1000 * joules / work.reply_tokens:.3g} J for 1,000 reply tokens"
    return f"{price} a kWh: {joules / 3600:.3g} Wh of the card{each}"


def _words(prices: Sequence[Price | None]) -> str | None:
    known = [_price_words(price) for price in prices if price is not None]
    return "; or ".join(dict.fromkeys(known)) or None


def _price_words(price: Price) -> str:
    cached = "" if price.cached_input is None else f", ${price.cached_input:g} cached"
    return f"${price.input:g} in{cached}, ${price.output:g} out per million tokens ({price.source})"
