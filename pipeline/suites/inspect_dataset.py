"""Inspect AI's datasets (JSON Lines, JSON, CSV): input, target, choices, id, metadata. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.chat_input import read_input
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.csv_text import parse_cell
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.names import is_tag, sequence_id
from nightjar.pipeline.suites.sample_parts import (
    choice_expectation,
    gathered_rows,
    held_targets,
    listed_below,
    listed_choices,
    read_targets,
    reference_of,
    row_identity,
)

OWN = ("input", "target", "choices", "id", "metadata")
REFUSED = ("sandbox", "files", "setup", "checkpoint")
_Row = Mapping[str, Any]


def read_inspect(source: Located, name: str, *, table: bool = False) -> SuiteContent:
    """One sequence of one turn per sample, in file order. `table`: the rows are from a CSV file, with lists as JSON.

    Raises SuiteError.
    """
    if not isinstance(source.data, list) or not source.data:
        raise source.error((), "the file holds no sample.")
    tags = list(_tags(source))
    sequences = gathered_rows(
        source, len(source.data), lambda index: _sequence(source, index, tags[index], table), "sample"
    )
    return SuiteContent(name=name, description="Inspect dataset", sequences=sequences)


def _sequence(source: Located, index: int, tags: tuple[str, ...], table: bool) -> Sequence:
    row = _row(source, index)
    for field in REFUSED:
        if row.get(field) is not None:
            raise source.unsupported(
                (index, field), f"a sample with {field!r} cannot be used: Nightjar would not run it."
            )
    if "input" not in row:
        raise source.error((index, "input"), "this field is missing.")
    asked = read_input(source, (index, "input"), row["input"])
    prompt = asked.prompt
    choices = listed_choices(source, (index, "choices"), row.get("choices"), table)
    targets = read_targets(source, (index, "target"), row.get("target"))
    if choices:
        prompt, expect = (
            listed_below(prompt, choices),
            [choice_expectation(source, (index, "target"), targets, choices)],
        )
    else:
        expect = held_targets(targets)
    return Sequence(
        id=row_identity(source, (index, "id"), row.get("id"), index),
        system=asked.system,
        messages=asked.messages,
        tags=tags,
        turns=(TurnSpec(prompt=prompt, expect=tuple(expect), reference=reference_of(targets, choices)),),
    )


def _row(source: Located, index: int) -> _Row:
    row = source.data[index]
    if not isinstance(row, Mapping):
        raise source.error((index,), "a sample is an object with input and target.")
    return row


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
