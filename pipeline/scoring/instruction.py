"""The building blocks of instruction checks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nightjar.pipeline.scoring.arguments import known_keys, whole_argument
from nightjar.pipeline.scoring.scorer import Context

Broken = Callable[[str, Context], str | None]
"""(text, context) -> how the text breaks the instruction; None if it follows it."""
Build = Callable[[Any], Broken]
"""An instruction's argument -> its check. Raises ValueError for an invalid argument."""
_RULES = {"exactly": None, "at_least": None, "at_most": None}


class Undecided(Exception):
    """It cannot be decided whether the text follows the instruction; the message says why."""


def counted(count: Callable[[str], int], what: str, *, unit: Callable[[str], str] | None = None) -> Build:
    """An instruction on a count of the text: `3` (exactly), `{at_least: 2, at_most: 5}`.

    `unit`: what is counted in a text, where it is not always `what`.
    """

    def build(value: Any) -> Broken:
        rule = count_rule(value, what)

        def broken(text: str, _: Context) -> str | None:
            reason = rule(count(text))
            return reason if reason is None or unit is None else reason.replace(f" {what},", f" {unit(text)},", 1)

        return broken

    return build


def count_rule(value: Any, what: str, *, others: tuple[str, ...] = ()) -> Callable[[int], str | None]:
    """A rule on a count: a whole number, or a mapping with exactly, at_least, at_most. Raises ValueError.

    `others`: keys of the mapping that mean something else.
    """
    given = {key: number for key, number in value.items() if key not in others} if isinstance(value, Mapping) else None
    rules: dict[str, Any] = {"exactly": value} if given is None else given
    known_keys(rules, what, _RULES)
    if not rules or ("exactly" in rules and len(rules) > 1):
        raise ValueError(f"{what} takes a whole number, or at_least and at_most, not {value!r}.")
    for key, number in rules.items():
        whole_argument(number, f"{what}: {key}", least=0)
    if rules.get("at_least", 0) > rules.get("at_most", rules.get("at_least", 0)):
        raise ValueError(f"{what}: at_least is more than at_most; no text can meet that.")

    def broken(count: int) -> str | None:
        met = (
            count == rules.get("exactly", count)
            and count >= rules.get("at_least", count)
            and count <= rules.get("at_most", count)
        )
        asked = " and ".join(f"{key.replace('_', ' ')} {number}" for key, number in rules.items())
        return None if met else f"{count} {what}, wanted {asked}"

    return broken


def flag(value: Any, what: str) -> None:
    """Checks the argument of an instruction that takes none. Raises ValueError unless it is true."""
    if value is not True:
        raise ValueError(f"{what} takes true, not {value!r}.")
