"""The sources of settings: what `.env` and TOML hold, which source a value came from, and what that source may do.

The environment stands above the files. A secret of the environment is therefore never sent to an address that only a
file names: whoever can write the file could have it sent to himself.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from nightjar.config.errors import SettingsError
from nightjar.config.keys import KeyPath, dotted, variable

ENVIRONMENT = "environment"
SHARED = {"hf_token", "hf_endpoint", "ollama_models"}
"""Also read under the names used by their own tools."""
SENT_TO: Mapping[KeyPath, KeyPath] = {
    ("hf_token",): ("hf_endpoint",),
    ("night", "smtp_password"): ("night", "smtp_host"),
}
"""Secret -> the setting that says where it is sent. The others hold their own address, or are sent nowhere."""
_REFERENCE = re.compile(r"\$\{\w+[^}]*\}")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a setting's value was found: the name it has there, the source, the value."""

    name: str
    source: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The variables of the environment, the `.env` and the TOML file, as read."""

    environment: Mapping[str, str]
    dotenv_file: Path | None
    dotenv: Mapping[str, str]
    toml_file: Path | None
    toml: Mapping[str, Any]

    @classmethod
    def read(cls, environment: Mapping[str, str], dotenv: Path | None, toml: Path | None) -> Sources:
        """Raises SettingsError for a file that cannot be read."""
        return cls(
            environment=environment,
            dotenv_file=dotenv,
            dotenv=_read_dotenv(dotenv),
            toml_file=toml,
            toml=_read_toml(toml),
        )

    def variables(self) -> dict[str, Mapping[str, str]]:
        """Environment and `.env` by the names they have in messages, the first counts."""
        return {ENVIRONMENT: self.environment, str(self.dotenv_file): self.dotenv}

    def find(self, path: KeyPath) -> Found | None:
        """The first source that has the key; None where its default is used."""
        wanted = _names(path)
        for source, values in self.variables().items():
            for name, value in values.items():
                if name.upper() in wanted:
                    return Found(name=name, source=source, value=value)
        value_in_table: Any = self.toml
        for key in path:
            if not isinstance(value_in_table, Mapping) or key not in value_in_table:
                return None
            value_in_table = value_in_table[key]
        return Found(name=dotted(path), source=str(self.toml_file), value=value_in_table)

    def dotenv_table(self, paths: Iterator[KeyPath]) -> dict[str, Any]:
        """The settings of the `.env` as a table like the TOML's. Raises SettingsError for `${NAME}` in one of them."""
        given = {name.upper(): value for name, value in self.dotenv.items()}
        table: dict[str, Any] = {}
        for path in paths:
            name = next((name for name in _names(path) if name in given), None)
            if name is None:
                continue
            if _REFERENCE.search(given[name]):
                raise SettingsError(
                    f"{name} in {self.dotenv_file} refers to another variable with ${{...}}, and Nightjar replaces "
                    "none: a file must not take values out of your environment. Write the value itself, or set "
                    f"{name} in the environment."
                )
            inner = table
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            inner[path[-1]] = given[name]
        return table

    def withheld(self) -> dict[KeyPath, str]:
        """Secrets that must not be used, with a sentence for each: of the environment, for an address of a file."""
        reasons = {}
        for secret, address in SENT_TO.items():
            held, sent_to = self.find(secret), self.find(address)
            if held is None or sent_to is None or held.source != ENVIRONMENT or sent_to.source == ENVIRONMENT:
                continue
            reasons[secret] = (
                f"{held.name} of the environment is not sent to {sent_to.value}, since only {sent_to.source} names "
                f"that address. Set {_names(address)[0]} in the environment too, or put the secret into the project's "
                ".env."
            )
        return reasons


def _names(path: KeyPath) -> list[str]:
    """The variables of a key, in capitals, the one that counts first."""
    return [path[-1].upper(), variable(path)] if path[-1] in SHARED else [variable(path)]


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Fix or remove it.") from None


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Fix or remove it.") from None
    if not isinstance(table, dict):
        raise SettingsError(f'{path} is no object of settings, such as {{"lease_s": 60}}. Fix or remove it.')
    return table
