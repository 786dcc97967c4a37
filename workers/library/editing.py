"""Changes to `models.toml` that keep comments and order; the result is validated as a whole before it is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock
from tomlkit import TOMLDocument

from nightjar.config.errors import OutputError, SettingsError, UsageError
from nightjar.config.files import close_if_home, make_folder
from nightjar.workers.library.endpoints import ENDPOINT_NAME, ENDPOINTS
from nightjar.workers.library.registry import NAME, RegistryEntry, parse_registry, read_registry, registry_text


def add_entry(file: Path, name: str, table: Mapping[str, Any]) -> None:
    """Adds a model at the end. Raises UsageError if the name is taken or invalid, SettingsError for bad content."""
    _edit(file, lambda document: _add(document, file, name, table))


def add_endpoint(file: Path, name: str, table: Mapping[str, Any]) -> None:
    """Adds an endpoint. Raises UsageError if the name is taken or invalid, SettingsError for bad content."""

    def edit(document: TOMLDocument) -> None:
        if not ENDPOINT_NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be an endpoint's name: letters, digits and . _ - only.")
        if ENDPOINTS not in document:
            document.add(ENDPOINTS, tomlkit.table(is_super_table=True))
        if name in document[ENDPOINTS]:
            raise UsageError(f"{file} has an endpoint {name!r} already. Choose another name, or remove that one first.")
        document[ENDPOINTS][name] = _table(table)

    _edit(file, edit)


def remove_endpoint(file: Path, name: str) -> None:
    """Removes an endpoint that no model answers at. Raises SettingsError, and writes nothing, where one does."""

    def edit(document: TOMLDocument) -> None:
        document[ENDPOINTS].pop(name)
        if not document[ENDPOINTS]:
            document.pop(ENDPOINTS)

    _edit(file, edit)


def _add(document: TOMLDocument, file: Path, name: str, table: Mapping[str, Any]) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a model's name: letters, digits and . _ : + - only; see --name.")
    if name == ENDPOINTS:
        raise UsageError(f"No model can be called {name!r}: models.toml keeps endpoints under that name.")
    if name in document:
        raise UsageError(f"{file} has a model {name!r} already. Choose another --name, or remove that one first.")
    if document.body and not document.as_string().endswith("\n\n"):
        document.add(tomlkit.nl())
    document.add(name, _table(table))


def check_entry(file: Path, name: str, table: Mapping[str, Any]) -> RegistryEntry:
    """The entry that `add_entry` would write, and nothing is written. Raises as it does."""
    document = _parsed(file)
    _add(document, file, name, table)
    return parse_registry(document.as_string(), file).models[name]


def remove_entry(file: Path, name: str) -> None:
    """Removes a model from the registry, if it is there."""

    def edit(document: TOMLDocument) -> None:
        document.pop(name, None)

    _edit(file, edit)


def update_entry(file: Path, name: str, values: Mapping[str, Any]) -> None:
    """Sets keys of a model; tables (`load`) are merged key by key, and None removes a key."""

    def edit(document: TOMLDocument) -> None:
        _merge(document[name], values)

    _edit(file, edit)


def _merge(table: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        elif isinstance(value, Mapping):
            if key not in table:
                table[key] = tomlkit.table()
            _merge(table[key], value)
        else:
            table[key] = value


def _table(values: Mapping[str, Any]) -> Any:
    table = tomlkit.table()
    _merge(table, values)
    return table


def _parsed(file: Path) -> TOMLDocument:
    read_registry(file)  # a file that is already broken is reported, not overwritten
    return tomlkit.parse(registry_text(file))


def _edit(file: Path, change: Callable[[TOMLDocument], None]) -> None:
    with _locked(file):
        document = _parsed(file)
        change(document)
        changed = document.as_string().rstrip("\n") + "\n"
        try:
            parse_registry(changed, file)
        except SettingsError as error:
            raise SettingsError(f"{error} Nothing was written.") from None
        _replace(file, changed)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    try:
        make_folder(file.parent)
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=10):
            yield
    except OSError as error:
        raise OutputError(f"{file} cannot be changed: {error.strerror or error}.") from None


def _replace(file: Path, text: str) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False, encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    os.chmod(new.name, mode)
    os.replace(new.name, file)
    close_if_home(file)
