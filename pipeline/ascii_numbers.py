"""Our sentences for programs: the numbers in them as a script reads them. Pure."""

from __future__ import annotations

import re

_THOUSANDS = re.compile("(?<=\\d)[\u202f\u00a0](?=\\d{3}(?!\\d))")
_RANGE = re.compile("(?<=[\\d%])\u2060?\u2013\u2060?(?=[\\d+\u2212-])")
_IN_ASCII = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u2212": "-", "\u2013": "-", "\u2060": None})


def plain_numbers(text: str) -> str:
    """The same sentence with its numbers in ASCII, without the spaces and dashes of print."""
    return _RANGE.sub(" to ", _THOUSANDS.sub("", text)).translate(_IN_ASCII)
