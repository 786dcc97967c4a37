"""Variables of a suite file: the placeholders in its values, filled from a row. Pure.

`jobs.placeholders` says what a placeholder is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.jobs.placeholders import PLACEHOLDER, RowValues, fill_text
from nightjar.jobs.sequences import DOCUMENT_PLACEHOLDER
from nightjar.jobs.variants import OWN, Variant


def names_in(value: Any) -> set[str]:
    """Names of the variables in a text, or in all texts within lists and mappings."""
    if isinstance(value, str):
        return {match.group(2) for match in PLACEHOLDER.finditer(value) if not match.group(1)}
    if isinstance(value, Mapping):
        return names_in(list(value.keys())) | names_in(list(value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(names_in, value))
    return set()


def names_in_variant(variant: Variant) -> set[str]:
    """Names of the variables that a variant's texts need from a sequence's row."""
    return names_in([variant.system or "", variant.prompt or ""]) - set(OWN)


def fill(value: Any, row: RowValues) -> Any:
    """The value with a row's values filled in. A text that is just one placeholder becomes the value itself."""
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        return row[whole.group(2)] if whole and not whole.group(1) else fill_text(value, row)
    if isinstance(value, Mapping):
        return {fill_text(key, row): fill(item, row) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, row) for item in value]
    return value


def escaped(value: Any) -> Any:
    """The inverse of `fill` with an empty row: every placeholder is marked as plain text."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: "\\" + match.group(), value)
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return value


def documents_in(text: str) -> set[str]:
    """Names of the documents that a prompt inserts."""
    return {match.group(1) for match in DOCUMENT_PLACEHOLDER.finditer(text)}
