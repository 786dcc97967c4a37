"""Making texts of models harmless for what will read them. Pure."""

from __future__ import annotations

import re

_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_C1 = re.compile("[\x80-\x9f]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~])")
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection)."""


def visible(text: str) -> str:
    """Control characters as their pictures, direction marks as [U+202E]; tab and newline stay, CR LF is a newline."""
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return _C1.sub(_named, _DIRECTION.sub(_named, text))


def cell(text: str) -> str:
    """A text for a spreadsheet cell: never a formula, no control characters."""
    shown = visible(text)
    return "'" + shown if text.startswith(FORMULA_STARTS) or shown.lstrip().startswith(FORMULA_STARTS) else shown


def markdown(text: str) -> str:
    """A text for one line of Markdown: no markup of its own, no HTML, no line break."""
    return _MARKDOWN.sub(r"\\\1", " ".join(visible(text).split())).replace("\\.", ".").replace("\\-", "-")


def slug(name: str, digest: str) -> str:
    """A file name for a run: its name where that is harmless, else cleaned, with the start of its id."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:100]
    return clean if clean == name else f"{clean or 'run'}-{digest[:8]}"


def _named(match: re.Match[str]) -> str:
    return f"[U+{ord(match.group()):04X}]"
