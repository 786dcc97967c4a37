"""The names of the settings in each of their sources, and the nearest known name to an unknown one. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from nightjar.config.errors import SettingsError

PREFIX = "NIGHTJAR_"
KeyPath = tuple[str, ...]
TOLD = frozenset(
    PREFIX + name for name in ("RUN", "RUN_ID", "SUITE", "SCHEDULE", "EVENT", "VERDICT", "REPORT", "LINK", "DELIVERY")
)
"""Variables set for a command of --on-finish. They are not settings, but the command may call `nightjar`."""


def key_paths(model: type[BaseModel]) -> Iterator[KeyPath]:
    """Every settable key: `("home",)`, `("model", "context")`, ..."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ((name, *rest) for rest in key_paths(field.annotation))
        else:
            yield (name,)


def variable(path: KeyPath) -> str:
    """The environment variable of a key: `("model", "context")` is NIGHTJAR_MODEL__CONTEXT."""
    return PREFIX + "__".join(path).upper()


def dotted(path: KeyPath) -> str:
    """The TOML name of a key: `("model", "context")` is model.context."""
    return ".".join(path)


def check_variables(names: Iterable[str], paths: Iterable[KeyPath], source: str) -> None:
    """Raises SettingsError for a NIGHTJAR_* name that is not a setting."""
    known = {variable(path): path for path in paths}
    for name in names:
        if not name.upper().startswith(PREFIX) or name.upper() in known or name.upper() in TOLD:
            continue
        inner = _under(tuple(name.upper().removeprefix(PREFIX).lower().split("__")), known.values())
        if inner:
            shown = ", ".join(variable(path) for path in inner[:3])
            raise SettingsError(
                f"{name} ({source}) is a table, not a setting: each of its keys has its own variable, "
                f"such as {shown}. Unset {name} and set those."
            )
        raise SettingsError(
            f"{name} ({source}) is not a setting of Nightjar. {_nearest(name, known)} "
            "Correct or unset it; config/nightjar.example.toml lists them all."
        )


def check_table(table: Mapping[str, Any], paths: Iterable[KeyPath], source: str) -> None:
    """Raises SettingsError for a TOML key, at any depth, that is not a setting."""
    known = {dotted(path): path for path in paths}
    for path, value in table_leaves(table, ()):
        if dotted(path) in known:
            continue
        inner = _under(path, known.values())
        if inner and value == {}:
            continue  # an empty [model] sets nothing
        if inner:
            raise SettingsError(
                f"{dotted(path)} in {source} is a table of settings, not a value: write [{dotted(path)}] and, below "
                f"it, keys such as {', '.join(p[-1] for p in inner[:3])}."
            )
        raise SettingsError(
            f"{dotted(path)} in {source} is not a setting of Nightjar. {_nearest(dotted(path), known)} "
            "Correct or remove it; config/nightjar.example.toml lists them all."
        )


def table_leaves(table: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Every key of a table, at any depth, with its value."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from table_leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _under(path: KeyPath, known: Iterable[KeyPath]) -> list[KeyPath]:
    return [other for other in known if len(other) > len(path) and other[: len(path)] == path]


def _nearest(name: str, known: Mapping[str, KeyPath]) -> str:
    def likeness(other: str) -> float:
        """1.0 for a name that differs only in its separators; a flat name is compared with a nested key's last part."""
        leaf = "".join(known[other][-1].split("_"))
        wanted = _bare(name)
        whole = difflib.SequenceMatcher(None, wanted, _bare(other)).ratio()
        return max(whole, 0.98 * difflib.SequenceMatcher(None, wanted, leaf).ratio())

    best = max(sorted(known), key=likeness)
    if likeness(best) >= 0.6:
        return f"Did you mean {best}?"
    return "Known: " + ", ".join(sorted(known)) + "."


def _bare(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum()).removeprefix("nightjar")
