"""Values as pages write them."""

from __future__ import annotations

import pytest

from nightjar.web.pages.model import _word
from nightjar.web.pages.model_settings import _text
from nightjar.web.pages.words import setting_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        (1, "1"),  # one thread
        (0, "0"),  # no layer on a GPU
        (1.0, "1.0"),  # a temperature
        (0.8, "0.8"),
        ("auto", "auto"),
    ],
)
def test_a_setting_is_shown_as_it_is_typed(value: object, shown: str) -> None:
    assert (setting_value(value), _word(value), _text(value)) == (shown, shown, shown)


def test_what_is_not_set_is_said() -> None:
    assert (_word(None), _text(None)) == ("the file's", "")
