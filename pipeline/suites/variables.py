"""`{{name}}` placeholders in a suite's texts. Pure.

`{{documents.name}}` is left alone: documents are inserted when a prompt is rendered. A backslash before a placeholder
makes it plain text: `\\{{name}}` stands for `{{name}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nightjar.jobs.sequences import DOCUMENT_PLACEHOLDER

_PLACEHOLDER = re.compile(r"(\\?)\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
Row = Mapping[str, str | int | float | bool]


def names_in(value: Any) -> set[str]:
    """Names of the variables in a text, or in all texts within lists and mappings."""
    if isinstance(value, str):
        return {match.group(2) for match in _PLACEHOLDER.finditer(value) if not match.group(1)}
    if isinstance(value, Mapping):
        return names_in(list(value.keys())) | names_in(list(value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(names_in, value))
    return set()


def fill(value: Any, row: Row) -> Any:
    """The value with a row's values filled in. A text that is just one placeholder becomes the value itself."""
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        return row[whole.group(2)] if whole and not whole.group(1) else fill_text(value, row)
    if isinstance(value, Mapping):
        return {fill_text(key, row): fill(item, row) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, row) for item in value]
    return value


def fill_text(text: str, row: Row) -> str:
    """The text with a row's values filled in, as text."""

    def put(match: re.Match[str]) -> str:
        return match.group()[1:] if match.group(1) else written(row[match.group(2)])

    return _PLACEHOLDER.sub(put, text)


def written(value: str | int | float | bool) -> str:
    """A variable's value as it appears in a text; booleans as true and false."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(value: Any) -> Any:
    """The inverse of `fill` with an empty row: every placeholder is marked as plain text."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: "\\" + match.group(), value)
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return value


def documents_in(text: str) -> set[str]:
    """Names of the documents that a prompt inserts."""
    return {match.group(1) for match in DOCUMENT_PLACEHOLDER.finditer(text)}
