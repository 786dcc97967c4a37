"""Rows of any file as a suite: `--map prompt=question --map answer=answer` says which field holds what. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nightjar.config.errors import SuiteError, UsageError, suggest
from nightjar.jobs.sequences import Expectation, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.chat_input import checked_prompt, read_input
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.names import tag_of
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

TARGETS = ("prompt", "answer", "reference", "choices", "system", "id", "tags")
"""What a field of a row can be."""
_NUMBER_LAST = re.compile(r"(?:^|\n)#### *(-?[\d,]*\.?\d+) *$")
"""How GSM8K, and what is made after it, ends a worked solution."""


def read_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Target -> field, of `TARGET=FIELD`. Raises UsageError for another form, another target, or one given twice."""
    mapping: dict[str, str] = {}
    for text in texts:
        target, equals, field = (part.strip() for part in text.partition("="))
        if not equals or not target or not field:
            raise UsageError(f"--map {text!r} is not of the form TARGET=FIELD, as in --map prompt=question.")
        if target not in TARGETS:
            raise UsageError(f"--map {text!r}: there is no {target!r}. {suggest(target, TARGETS)}")
        if target in mapping:
            raise UsageError(f"--map gives {target} twice, as {mapping[target]!r} and {field!r}. Choose one.")
        mapping[target] = field
    if "prompt" not in mapping:
        raise UsageError("--map must say which field is the prompt, as in --map prompt=question.")
    return mapping


def read_mapped(source: Located, name: str, mapping: Mapping[str, str], *, table: bool = False) -> SuiteContent:
    """One sequence of one turn per row. `table`: rows of a CSV file, with lists as JSON. Raises SuiteError."""
    if not isinstance(source.data, list) or not source.data:
        raise source.error((), "--map takes rows: JSON Lines, a JSON list, CSV or Parquet, with at least one row.")
    for target, field in mapping.items():
        if not any(_has(row, field) for row in source.data):
            names = dict.fromkeys(key for row in source.data[:100] if isinstance(row, Mapping) for key in row)
            raise SuiteError(
                f"{source.file}: no row has the field {field!r} of --map {target}. {suggest(field, names)}"
            )
    rows = [_renamed(row, mapping) for row in source.data]
    named = replace(source, data=rows, names=mapping)
    sequences = gathered_rows(named, len(rows), lambda index: _sequence(named, index, table), "row")
    return SuiteContent(name=name, description=f"Rows of {source.file}", sequences=sequences)


def _sequence(source: Located, index: int, table: bool) -> PromptSequence:
    row = source.data[index]
    if not isinstance(row, Mapping) or row.get("prompt") is None:
        raise source.error((index, "prompt"), "this field is missing.")
    asked = read_input(source, (index, "prompt"), row["prompt"])
    system, prompt = asked.system, asked.prompt
    if row.get("system") is not None:
        system = checked_prompt(source, (index, "system"), row["system"])
    choices = listed_choices(source, (index, "choices"), row.get("choices"), table)
    answer = row.get("answer")
    if choices:
        prompt = listed_below(prompt, choices)
        answer = choices[answer] if type(answer) is int and 0 <= answer < len(choices) else answer
    targets = read_targets(source, (index, "answer"), answer)
    expect = [choice_expectation(source, (index, "answer"), targets, choices)] if choices else _checks(targets)
    given = row.get("reference")
    reference = reference_of(targets, choices) if given is None else checked_prompt(source, (index, "reference"), given)
    return PromptSequence(
        id=row_identity(source, (index, "id"), row.get("id"), index),
        system=system,
        messages=asked.messages,
        tags=_tags(row.get("tags")),
        turns=(TurnSpec(prompt=prompt, expect=tuple(expect), reference=reference),),
    )


def _checks(targets: list[str]) -> list[Expectation]:
    """The number after `####`, else what a short answer says."""
    number = _NUMBER_LAST.search(targets[0]) if len(targets) == 1 else None
    if number is None:
        return held_targets(targets)
    value = float(number[1].replace(",", ""))
    return [Expectation(check="numeric", value=int(value) if value.is_integer() else value)]


def _tags(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(dict.fromkeys(tag for item in given for tag in tag_of(str(item))))


def _renamed(row: Any, mapping: Mapping[str, str]) -> Any:
    if not isinstance(row, Mapping):
        return row
    return {target: value for target, field in mapping.items() if (value := _at(row, field)) is not None}


def _has(row: Any, field: str) -> bool:
    return _at(row, field) is not None


def _at(row: Any, field: str) -> Any:
    """The field of that name, else what a path such as `choices.text` or `answers.0` leads to; None if nothing does."""
    if isinstance(row, Mapping) and field in row:
        return row[field]
    value = row
    for step in field.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
