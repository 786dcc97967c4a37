"""List prices of well-known models, from the snapshot in the genai-prices wheel: nothing is asked of the network."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from nightjar.jobs.remote_models import Price

_PACKAGE = "genai-prices"


def list_price(model: str, base_url: str) -> Price | None:
    """The public price of the model at that address; None where nobody knows it, or the package is not installed.

    A price that depends on the prompt's length counts as its highest.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot

        release = version(_PACKAGE)
    except (ImportError, PackageNotFoundError):
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, None, base_url)
        prices = found.get_prices(_now())
    except (LookupError, ValueError):
        return None
    given, written = _per_million(prices.input_mtok), _per_million(prices.output_mtok)
    if given is None or written is None:
        return None
    cached = _per_million(prices.cache_read_mtok)
    return Price(input=given, output=written, cached_input=cached, source=f"{_PACKAGE} {release}")


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _per_million(price: Any) -> float | None:
    """A number, or the highest of a price in tiers."""
    if price is None:
        return None
    tiers = getattr(price, "tiers", None)
    return float(price) if tiers is None else max(float(price.base), *(float(tier.price) for tier in tiers))
