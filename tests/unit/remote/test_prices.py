"""Whose price counts: the model's own, the endpoint's, the list price, and else nobody's."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
import tomlkit

from nightjar.config.settings import Settings
from nightjar.jobs.remote_models import Price
from nightjar.workers.library import list_prices
from nightjar.workers.library.find import find_model
from nightjar.workers.library.list_prices import list_price
from nightjar.workers.library.remote_facts import remote_facts

LISTED, AT = "gpt-4o-mini", "https://api.openai.com/v1"
OWN, WHOLE = {"input": 1.0, "output": 2.0}, {"input": 3.0, "output": 4.0}


def price_of(settings: Settings, model: str, own: dict[str, Any] | None, whole: dict[str, Any] | None) -> Price | None:
    endpoint: dict[str, Any] = {"base_url": AT} | ({} if whole is None else {"price": whole})
    entry: dict[str, Any] = {"endpoint": "there", "model": model} | ({} if own is None else {"price": own})
    settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    settings.models_file.write_text(tomlkit.dumps({"endpoints": {"there": endpoint}, "large": entry}), "utf-8")
    remote = remote_facts(find_model("large", settings)).remote
    assert remote is not None
    return remote.price


@pytest.mark.parametrize(
    ("model", "own", "whole", "expected"),
    [
        (LISTED, OWN, WHOLE, Price(**OWN)),
        (LISTED, None, WHOLE, Price(**WHOLE)),
        (LISTED, {"input": 0.0, "output": 0.0}, WHOLE, Price(input=0, output=0)),  # free is a price
        ("nobody-knows-this", None, WHOLE, Price(**WHOLE)),
        ("nobody-knows-this", None, None, None),  # unknown, which is not nothing
    ],
)
def test_the_registry_goes_before_the_list(
    settings: Settings, model: str, own: dict[str, Any] | None, whole: dict[str, Any] | None, expected: Price | None
) -> None:
    assert price_of(settings, model, own, whole) == expected


def test_a_list_price_says_where_it_is_from(settings: Settings) -> None:
    """Per million tokens, cached ones apart, with the release of the package that has it."""
    price = price_of(settings, LISTED, None, None)
    assert price is not None
    assert price.source == f"genai-prices {version('genai-prices')}"
    assert 0 < price.input < price.output < 10
    assert price.cached_input is not None
    assert 0 < price.cached_input < price.input


def test_the_list_is_of_one_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's name at an address that nobody lists has no price: a name alone says nothing of who serves it."""
    assert list_price(LISTED, "https://somebody.example/v1") is None
    monkeypatch.setattr(list_prices, "_PACKAGE", "not-installed-here")
    assert list_price(LISTED, AT) is None


def test_a_price_in_tiers_counts_as_its_highest() -> None:
    class Tier:
        price = 5.0

    class Tiered:
        base = 2.5
        tiers = (Tier(),)

    assert list_prices._per_million(Tiered()) == 5.0
    assert list_prices._per_million(2.5) == 2.5
    assert list_prices._per_million(None) is None
