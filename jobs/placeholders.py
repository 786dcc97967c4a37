"""`{{name}}` placeholders in a suite's texts. Pure.

`{{documents.name}}` is left alone: documents are inserted when a prompt is rendered. A backslash before a placeholder
makes it plain text: `\\{{name}}` stands for `{{name}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDER = re.compile(r"(\\?)\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
RowValues = Mapping[str, str | int | float | bool]


def fill_text(text: str, row: RowValues) -> str:
    """The text with a row's values filled in, as text. What is put in is not read for placeholders again."""

    def put(match: re.Match[str]) -> str:
        return match.group()[1:] if match.group(1) else written(row[match.group(2)])

    return PLACEHOLDER.sub(put, text)


def written(value: str | int | float | bool) -> str:
    """A variable's value as it appears in a text; booleans as true and false."""
    return str(value).lower() if isinstance(value, bool) else str(value)
