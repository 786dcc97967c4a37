"""Makes texts written by models safe for the programs that will read them. Pure."""

from __future__ import annotations

import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C0 except tab and newline, C1, and marks that change the direction of text."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~])")
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""A spreadsheet treats a cell that begins with one of these as a formula (OWASP, CSV injection)."""


def visible(text: str) -> str:
    """The text with control characters and direction marks written as [U+001B]; tab and newline stay."""
    return _CONTROLS.sub(_named, text.replace("\r\n", "\n"))


def cell(text: str) -> str:
    """A text for a spreadsheet cell: never a formula, no control characters."""
    shown = visible(text)
    return "'" + shown if text.startswith(FORMULA_STARTS) or shown.lstrip().startswith(FORMULA_STARTS) else shown


def markdown(text: str) -> str:
    """A text for one line of Markdown: no markup of its own, no HTML, no line break."""
    return _MARKDOWN.sub(r"\\\1", " ".join(visible(text).split())).replace("\\.", ".").replace("\\-", "-")


def slug(name: str, digest: str) -> str:
    """A file name for a run: its name if that is safe, else a cleaned name with the start of the digest."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:100]
    return clean if clean and clean == name else f"{clean or 'run'}-{digest[:8]}"


def _named(match: re.Match[str]) -> str:
    return f"[U+{ord(match.group()):04X}]"
