"""A number of things in words: 1 conversation, 2 conversations."""

from __future__ import annotations

_IRREGULAR = {"reply": "replies", "retry": "retries", "try": "tries", "copy": "copies", "process": "processes"}


def plural(number: int, noun: str, many: str | None = None) -> str:
    """The noun for so many: its last word in the plural unless there is one, or `many` where that is irregular."""
    if number == 1:
        return noun
    *before, last = noun.split(" ")
    return many or " ".join([*before, _IRREGULAR.get(last, f"{last}s")])


def how_many(number: int, noun: str, many: str | None = None) -> str:
    """A number of things: 1 sequence, 2 sequences, 1,200 empty replies."""
    return f"{number:,} {plural(number, noun, many)}"


def are(number: int) -> str:
    """The verb that goes with so many."""
    return "is" if number == 1 else "are"
