"""Inspect AI's datasets (JSON Lines, JSON, CSV): input, target, choices, id, metadata. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec
from nightjar.pipeline.suites.chat_input import checked_prompt, read_input
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.csv_text import parse_cell
from nightjar.pipeline.suites.located import Located, Path
from nightjar.pipeline.suites.names import is_tag, sequence_id, unique_id

OWN = ("input", "target", "choices", "id", "metadata")
REFUSED = ("sandbox", "files", "setup", "checkpoint")
SHORT_TARGET = 100
"""A longer target is a text to compare with, not one that a reply must contain."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Row = Mapping[str, Any]


def read_inspect(source: Located, name: str, *, table: bool = False) -> SuiteContent:
    """One sequence of one turn per sample, in file order. `table`: the rows are from a CSV file, with lists as JSON.

    Raises SuiteError.
    """
    if not isinstance(source.data, list) or not source.data:
        raise source.error((), "the file holds no sample.")
    tags = _tags(source)
    sequences: dict[str, Sequence] = {}
    for index in range(len(source.data)):
        sequence = _sequence(source, index, next(tags), table)
        if sequence.id in sequences:
            raise source.error((index, "id"), f"two samples have the id {sequence.id!r}.")
        sequences[sequence.id] = sequence
    return SuiteContent(name=name, description="Inspect dataset", sequences=tuple(sequences.values()))


def _sequence(source: Located, index: int, tags: tuple[str, ...], table: bool) -> Sequence:
    row = _row(source, index)
    for field in REFUSED:
        if row.get(field) is not None:
            raise source.error((index, field), f"a sample with {field!r} cannot be used: Nightjar would not run it.")
    if "input" not in row:
        raise source.error((index, "input"), "this field is missing.")
    system, prompt = read_input(source, (index, "input"), row["input"])
    choices = _choices(source, (index, "choices"), row.get("choices"), table)
    targets = _targets(source, (index, "target"), row.get("target"))
    if choices:
        prompt, expect = _asked(prompt, choices), [_choice(source, (index, "target"), targets, choices)]
    else:
        expect = _held(targets)
    return Sequence(
        id=_identity(source, (index, "id"), row.get("id"), index),
        system=system,
        tags=tags,
        turns=(TurnSpec(prompt=prompt, expect=tuple(expect), reference=_reference(targets, choices)),),
    )


def _row(source: Located, index: int) -> Row:
    row = source.data[index]
    if not isinstance(row, Mapping):
        raise source.error((index,), "a sample is an object with input and target.")
    return row


def _identity(source: Located, path: Path, value: Any, index: int) -> str:
    """The sample's id, with hyphens for characters not allowed in ids; without one, its number, from 1."""
    if value is None:
        return str(index + 1)
    identity = sequence_id(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return unique_id(source, path, identity, (), value)


def _targets(source: Located, path: Path, value: Any) -> list[str]:
    given = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    for item in given:
        if isinstance(item, bool | dict | list) or not str(item).strip():
            raise source.error(path, "a target is a text or a number, or a list of them, none of them empty.")
    return [str(item) for item in given]


def _choices(source: Located, path: Path, value: Any, table: bool) -> list[str]:
    if value is None:
        return []
    if table and isinstance(value, str):
        is_list = value.lstrip().startswith("[")
        value = parse_cell(source, path, value) if is_list else [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise source.error(path, f"choices are a list of 2 to {len(LETTERS)} texts.")
    return [checked_prompt(source, (*path, index), str(item)) for index, item in enumerate(value)]


def _choice(source: Located, path: Path, targets: list[str], choices: list[str]) -> Expectation:
    letters = list(LETTERS[: len(choices)])
    if len(targets) != 1:
        raise source.error(path, f"a sample with choices has one target, a letter, not {len(targets)}.")
    target = targets[0].strip()
    if target.upper() in letters:
        answer = target.upper()
    elif target in choices:
        answer = letters[choices.index(target)]
    else:
        raise source.error(path, f"{target!r} is no letter from A to {letters[-1]} and no choice.")
    return Expectation(check="choice", value={"answer": answer, "options": letters})


def _asked(prompt: str, choices: list[str]) -> str:
    listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return f"{prompt}\n\n{listed}\n\nAnswer with the letter of one choice, in the form ANSWER: LETTER."


def _held(targets: list[str]) -> list[Expectation]:
    """A short target must be in the reply; of several, any one."""
    if not targets or any(len(target) > SHORT_TARGET or "\n" in target for target in targets):
        return []
    return [Expectation(check="includes", value=targets[0] if len(targets) == 1 else {"any": targets})]


def _reference(targets: list[str], choices: list[str]) -> str | None:
    return None if choices or not targets else targets[0]


def _tags(source: Located) -> Iterator[tuple[str, ...]]:
    """Metadata as tags: texts on their own, numbers and booleans after their field's name.

    Only values shared by at least two samples are kept, since only they group anything.
    """
    labels_by_row = [_labels(source, index) for index in range(len(source.data))]
    shared = Counter(label for labels in labels_by_row for label in labels)
    return (tuple(label for label in labels if shared[label] > 1) for labels in labels_by_row)


def _labels(source: Located, index: int) -> list[str]:
    row = _row(source, index)
    metadata = row.get("metadata")
    if isinstance(metadata, str):  # JSON in a text, as Inspect's own examples have it in every format
        metadata = parse_cell(source, (index, "metadata"), metadata)
    if not isinstance(metadata, Mapping | None):
        raise source.error((index, "metadata"), "metadata is an object.")
    fields = {**{key: value for key, value in row.items() if key not in OWN}, **(metadata or {})}
    return list(dict.fromkeys(label for key, value in fields.items() for label in _label(key, value)))


def _label(key: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [label for item in value if isinstance(item, str) for label in _label(key, item)]
    text = sequence_id(value) if isinstance(value, str) else sequence_id(f"{key} {value}")
    fits = isinstance(value, str | int | bool) and len(text) <= 60 and is_tag(text)
    return [text] if fits else []
