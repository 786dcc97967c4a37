"""Reading the arguments that suites give to scorers. Pure; every error is a ValueError with a readable message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nightjar.config.errors import suggest


def options_of(value: Any, scorer: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, overridden by what `value` sets; `true` sets nothing. Raises ValueError for an unknown key."""
    if value is True:
        return dict(defaults)
    if not isinstance(value, Mapping):
        allowed = f"true or a mapping with {', '.join(defaults)}" if defaults else "true"
        raise ValueError(f"{scorer} takes {allowed}, not {value!r}.")
    known_keys(value, scorer, defaults)
    return {**defaults, **value}


def known_keys(value: Mapping[str, Any], scorer: str, known: Mapping[str, Any]) -> None:
    """Raises ValueError for a key that is not known."""
    for key in value:
        if key not in known:
            raise ValueError(f"{scorer} has no option {key!r}. {suggest(str(key), known, 'option')}")


def whole_argument(value: Any, what: str, least: int = 1) -> int:
    """The value, if it is a whole number of at least `least`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} is a whole number, {least} or more, not {value!r}.")
    return value


def is_number(value: Any) -> bool:
    """Whether the value is a finite number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def texts(value: Any, what: str) -> list[str]:
    """The value, one text or a list of them, as a list. Raises ValueError, also for an empty text."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given or not all(isinstance(t, str) and t.strip() for t in given):
        raise ValueError(f"{what} takes a text or a list of texts, none of them empty, not {value!r}.")
    return list(given)


def text_of(value: Any, what: str) -> str:
    """The value, if it is a text that is not empty. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} takes a text, not {value!r}.")
    return value
