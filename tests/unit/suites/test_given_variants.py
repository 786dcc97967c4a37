"""Variants that a program gives with a run."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.variants import Variant
from nightjar.pipeline.suites.given_variants import given_variants


def test_they_are_what_a_suite_would_have() -> None:
    """A null that was written means no system prompt."""
    given: list[dict[str, Any]] = [
        {"name": "plain"},
        {"name": "bare", "system": None},
        {"name": "terse", "prompt": "{{prompt}} Be brief.", "parameters": {"top_k": 1}},
    ]
    assert given_variants(given) == (
        Variant(name="plain"),
        Variant(name="bare", system=""),
        Variant(name="terse", prompt="{{prompt}} Be brief.", parameters={"top_k": 1}),
    )


# What is given, and what is said of it.
WRONG = [
    ([{"name": "a"}, {"name": "b", "sytem": "x"}], "Variant 2, sytem: "),
    ([{"system": "x"}], "Variant 1, name: "),
    ([{"name": "a+b"}], "Variant 1, name: "),
    ([{"name": "a"}, {"name": "a", "system": "x"}], "Two variants are called 'a'"),
    ([{"name": "a", "prompt": "{{prompt}} about {{kind}}"}], "names {{kind}}. One that is given with a run can name"),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_what_is_wrong_is_named(given: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(UsageError) as error:
        given_variants(given)
    assert told in str(error.value)
