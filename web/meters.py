"""What this process has answered since it started: counted once, for `/metrics` and `/stats`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from nightjar.jobs.live.reply_cache import CacheUse
from nightjar.jobs.live.state import LiveEnd
from nightjar.web.totals import AnswerTotals, RouteLabel

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


@dataclass(frozen=True, kw_only=True)
class LiveTotals:
    """Sums over all models. Tokens and seconds are of replies that were computed for their request."""

    replies: int = 0
    computed: int = 0
    reply_tokens: int = 0
    seconds: float = 0.0
    looked_up: int = 0
    """Requests that might have been given an earlier reply, and were answered or not; `cached`: those that were."""
    cached: int = 0
    saved_usd: float | None = None
    """What cached replies cost when they were computed; None while none of them had a price."""


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(f"nightjar_{name}", text, ("model_name", *labels), registry=registry)


def _histogram(registry: CollectorRegistry, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"nightjar_{name}", text, ("model_name",), buckets=buckets, registry=registry)


@dataclass(eq=False)
class Meters:
    """vLLM's names under `nightjar_`, of live requests through this process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        registry = self.registry
        self.running = Gauge(
            "nightjar_live_requests_open",
            "Live requests that wait or are replied to.",
            ("model_name",),
            registry=registry,
        )
        self._success = _counter(registry, "request_success", "Replies, by why they ended.", "finished_reason")
        self._failed = _counter(registry, "request_failure", "Requests without a reply, by the error.", "error")
        self._fallbacks = _counter(registry, "request_fallback", "Routed requests it gave no reply to.")
        self._cache = _counter(registry, "reply_cache_requests", "Requests, by what the cache had.", "result")
        self._prompt = _counter(registry, "prompt_tokens", "Tokens of prompts.")
        self._cached = _counter(registry, "prefix_cache_hits", "Tokens of prompts that were not computed again.")
        self._reply = _counter(registry, "generation_tokens", "Tokens of replies, reasoning included.")
        self._first = _histogram(registry, "time_to_first_token_seconds", "In the engine.", _SECONDS)
        self._each = _histogram(registry, "time_per_output_token_seconds", "Between tokens.", _PER_TOKEN_S)
        self._queue = _histogram(registry, "request_queue_time_seconds", "Before the engine began.", _SECONDS)
        self._whole = _histogram(registry, "e2e_request_latency_seconds", "From the request to its end.", _SECONDS)
        self._of_end = _counter(registry, "finished_prompt_tokens", "Computed replies' prompts.", "finished_reason")
        self._written = _counter(registry, "finished_generation_tokens", "The same of replies.", "finished_reason")
        self._places = Counter("nightjar_answers", "Replies, by who gave them.", ("place",), registry=registry)
        self._usd = _counter(registry, "cost_usd", "What endpoints were paid for requests.")
        self._unpriced = _counter(registry, "unpriced_requests", "Replies of endpoints at an unknown price.")
        self._kept_usd = _counter(registry, "reply_cache_saved_usd", "What cached replies cost when computed.")
        self._routed = _counter(registry, "routed_requests", "Routed replies, by policy and why.", "policy", "reason")
        self._routed_tokens = _counter(registry, "routed_generation_tokens", "The same in tokens.", "policy", "reason")
        self.answers = AnswerTotals()
        self._totals = LiveTotals()

    @property
    def totals(self) -> LiveTotals:
        return self._totals

    def ended(self, model: str, end: LiveEnd, route: RouteLabel | None = None) -> None:
        """Counts a reply. `route`: how a routed request came to the model."""
        self._success.labels(model, end.finish_reason).inc()
        self._places.labels("cache" if end.cached else "endpoint" if end.remote else "local").inc()
        self.answers.count(model, end, route)
        if route is not None:
            self._routed.labels(model, route.policy, route.reason).inc()
        if end.cached:
            self._count_cached(model, end)
            return
        self._count_computed(model, end)
        if end.remote and end.usd is None:
            self._unpriced.labels(model).inc()
        self._of_end.labels(model, end.finish_reason).inc(end.prompt_tokens)
        self._written.labels(model, end.finish_reason).inc(end.reply_tokens)
        if route is not None:
            self._routed_tokens.labels(model, route.policy, route.reason).inc(end.reply_tokens)

    def looked_up(self, model: str, use: CacheUse) -> None:
        """Counts a request by what the cache had for it."""
        self._cache.labels(model, use).inc()
        before = self._totals
        self._totals = replace(
            before,
            looked_up=before.looked_up + (use is not CacheUse.OFF),
            cached=before.cached + (use in (CacheUse.HIT, CacheUse.SHARED)),
        )

    def _count_cached(self, model: str, end: LiveEnd) -> None:
        if end.saved_usd is not None:
            self._kept_usd.labels(model).inc(end.saved_usd)
        before = self._totals
        saved = before.saved_usd if end.saved_usd is None else (before.saved_usd or 0.0) + end.saved_usd
        self._totals = replace(before, replies=before.replies + 1, saved_usd=saved)

    def _count_computed(self, model: str, end: LiveEnd) -> None:
        queue_s = (end.claim_s or 0.0) + end.queue_s
        whole_s = queue_s + end.prefill_s + end.decode_s
        self._prompt.labels(model).inc(end.prompt_tokens)
        self._cached.labels(model).inc(end.reused_tokens)
        self._reply.labels(model).inc(end.reply_tokens)
        if end.first_token_s is not None:
            self._first.labels(model).observe(end.first_token_s)
        if end.reply_tokens > 1:
            self._each.labels(model).observe(end.decode_s / (end.reply_tokens - 1))
        self._queue.labels(model).observe(queue_s)
        self._whole.labels(model).observe(whole_s)
        before = self._totals
        self._totals = replace(
            before,
            replies=before.replies + 1,
            computed=before.computed + 1,
            reply_tokens=before.reply_tokens + end.reply_tokens,
            seconds=before.seconds + whole_s,
        )

    def paid(self, model: str, usd: float) -> None:
        """Counts what endpoints were paid, and takes back what they were not after all."""
        self._usd.labels(model).inc(max(0.0, usd))
        self.answers.pay(model, usd)

    def fell_back(self, model: str) -> None:
        """Counts a routed request that another model was to answer."""
        self._fallbacks.labels(model).inc()
        self.answers.fallbacks[model] += 1

    def failed(self, model: str, error: Exception) -> None:
        """Counts a request that got no reply."""
        self._failed.labels(model, type(error).__name__).inc()
