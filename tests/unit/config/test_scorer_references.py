"""The setting that names a user's own scorers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nightjar.config.errors import SettingsError
from nightjar.config.settings import load_settings


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_SCORERS", "mine:tone, other.mod:Checks.rhyme,")
    assert load_settings().scorers == ("mine:tone", "other.mod:Checks.rhyme")


@pytest.mark.parametrize("value", ["mine", "mine:", ":tone", "mine:tone;os", "a b:c", "../mine:tone"])
def test_what_is_no_reference_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting's name and what it must be."""
    monkeypatch.setenv("NIGHTJAR_SCORERS", value)
    with pytest.raises(SettingsError, match=r"NIGHTJAR_SCORERS.*module:attribute"):
        load_settings()
