"""What was answered, summed up by model and by who was to answer: what `/stats` says and `/metrics` shares. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.remote_models import TokenUse


@dataclass(frozen=True, kw_only=True)
class RouteLabel:
    """How a routed request came to its model; a few values, whatever clients send."""

    policy: str
    reason: str


@dataclass(kw_only=True)
class ModelTotals:
    """Of one model. `requests`: replies that were handed out; tokens are of those that were computed for them."""

    remote: bool = False
    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tokens_by_reason: Counter[str] = field(default_factory=Counter)
    """Of the replies alone."""
    usd: float | None = None
    """What endpoints were paid, for requests without a reply too; None while nothing had a price."""
    unpriced: int = 0
    """Replies of endpoints whose price is unknown; `usd` is without them."""
    given_prompt_tokens: int = 0
    """Of all that were handed out but for unpriced ones, cached ones among them."""
    given_reply_tokens: int = 0

    def count(self, end: LiveEnd) -> None:
        """One more."""
        self.remote |= end.remote
        self.requests += 1
        self.reasons[end.finish_reason] += 1
        if end.cached:
            self.cached += 1
        else:
            self.prompt_tokens += end.prompt_tokens
            self.reply_tokens += end.reply_tokens
            self.tokens_by_reason[end.finish_reason] += end.reply_tokens
        if end.remote and end.usd is None and not end.cached:
            self.unpriced += 1
        else:
            self.given_prompt_tokens += end.prompt_tokens
            self.given_reply_tokens += end.reply_tokens


@dataclass(kw_only=True)
class RoutedTotals:
    """Of one way to a model."""

    requests: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0


@dataclass(kw_only=True)
class AnswerTotals:
    """All that this process handed out since it started."""

    models: dict[str, ModelTotals] = field(default_factory=dict)
    routed: dict[tuple[RouteLabel, str], RoutedTotals] = field(default_factory=dict)
    fallbacks: Counter[str] = field(default_factory=Counter)
    """Model -> routed requests that it gave no reply to."""

    def count(self, model: str, end: LiveEnd, route: RouteLabel | None) -> None:
        """One reply more. `route`: None where the request named its model."""
        self.models.setdefault(model, ModelTotals()).count(end)
        if route is not None:
            way = self.routed.setdefault((route, model), RoutedTotals())
            way.requests += 1
            if not end.cached:
                way.prompt_tokens += end.prompt_tokens
                way.reply_tokens += end.reply_tokens

    def pay(self, model: str, usd: float) -> None:
        """US dollars more for requests to a model at an endpoint."""
        totals = self.models.setdefault(model, ModelTotals(remote=True))
        totals.usd = (totals.usd or 0.0) + usd

    @property
    def requests(self) -> int:
        return sum(model.requests for model in self.models.values())

    @property
    def share_local(self) -> float | None:
        """Of the replies, those for which no endpoint was asked; None while there are none."""
        asked = sum(model.requests - model.cached for model in self.models.values() if model.remote)
        return 1 - asked / self.requests if self.requests else None

    @property
    def usd(self) -> float | None:
        """What endpoints were paid, as far as prices are known; None while no reply had one."""
        known = [model.usd for model in self.models.values() if model.usd is not None]
        return sum(known) if known else None

    @property
    def unpriced(self) -> int:
        return sum(model.unpriced for model in self.models.values())

    def but_for(self, reference: str) -> tuple[TokenUse, float, int]:
        """(tokens handed out, US dollars paid for them, unpriced replies left out) of all models but one, and of that
        one's replies that the cache gave again.
        """
        others: Mapping[str, ModelTotals] = {name: each for name, each in self.models.items() if name != reference}
        own = self.models.get(reference, ModelTotals())
        prompt = sum(each.given_prompt_tokens for each in others.values())
        reply = sum(each.given_reply_tokens for each in others.values())
        if not own.unpriced:
            prompt += own.given_prompt_tokens - own.prompt_tokens
            reply += own.given_reply_tokens - own.reply_tokens
        paid = sum(each.usd or 0.0 for each in others.values())
        return TokenUse(prompt=prompt, reply=reply), paid, sum(each.unpriced for each in others.values())
