"""Ids and tags from what other tools' files call things, and the fields of theirs that we don't know. Pure.

What an id or a tag cannot hold becomes a hyphen: no file is refused for a slash in a category. A field that a third
party added is passed over, and said to be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import regex

from nightjar.config.errors import suggest
from nightjar.pipeline.suites.located import Located, Path
from nightjar.pipeline.suites.native_file import ID_PATTERN, TAG_PATTERN

_UNFIT = regex.compile(r"[^\w .,'()&+!?#-]+")  # as `regex` reads it, \w holds the vowel signs of Indian scripts
_BEFORE = regex.compile(r"^[\W_]+")
LONGEST_TAG = 100


def sequence_id(key: str) -> str:
    """A sequence's name as an id; may be empty."""
    return _UNFIT.sub("-", key).strip(" -")


def tag_of(text: str) -> tuple[str, ...]:
    """A category as a tag; none where it holds no letter and no digit."""
    tag = _BEFORE.sub("", " ".join(_UNFIT.sub("-", text).split()))[:LONGEST_TAG].rstrip(" -")
    return (tag,) if tag else ()


def is_tag(text: str) -> bool:
    return regex.fullmatch(TAG_PATTERN, text) is not None


def unique_id(source: Located, path: Path, identity: str, taken: Collection[str], given: object) -> str:
    """The id. Raises SuiteError if it is none, or another sequence has it."""
    if not regex.fullmatch(ID_PATTERN, identity):
        raise source.error(path, f"{given!r} gives no sequence id: use letters and digits.")
    if identity in taken:
        raise source.error(path, f"{given!r} gives the sequence id {identity!r}, which another one has.")
    return identity


def passed_over(rows: Iterable[Any], known: Collection[str], what: str) -> tuple[str, ...]:
    """Notes on the fields of these rows that are not known, each with how many rows have it. `what`: "questions"."""
    fields = Counter(key for row in rows if isinstance(row, Mapping) for key in row if key not in known)
    notes = []
    for field, count in fields.items():
        near = suggest(field, known)
        hint = f" {near}" if near.startswith("Did you mean") else ""
        notes.append(f"The field {field!r} of {count} {what} is passed over: this format has none of that name.{hint}")
    return tuple(notes)
