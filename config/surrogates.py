"""Texts that are no valid Unicode: they hold half of a surrogate pair, and cannot be stored, sent or tokenised."""

from __future__ import annotations


def has_surrogate(text: str) -> bool:
    """Whether half of a surrogate pair is in the text."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
