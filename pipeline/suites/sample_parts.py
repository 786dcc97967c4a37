"""Parts of a sample with an answer: its id, targets, choices, and what the reply is checked for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nightjar.jobs.sequences import Expectation, Sequence
from nightjar.pipeline.suites.chat_input import checked_prompt
from nightjar.pipeline.suites.csv_text import parse_cell
from nightjar.pipeline.suites.located import Located, Path, check_some
from nightjar.pipeline.suites.names import sequence_id, unique_id

SHORT_TARGET = 100
"""A longer target is a text to compare with, not one that a reply must contain."""
ASKED_LETTER = "Answer with the letter of one choice, in the form ANSWER: LETTER."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def gathered_rows(source: Located, count: int, read: Callable[[int], Sequence], what: str) -> tuple[Sequence, ...]:
    """The sequence of each row, `what` being a row's name for people. Raises SuiteError with every row's error, and
    where two have one id or none is left."""
    sequences: dict[str, Sequence] = {}
    for index in range(count):
        with source.gathered.part():
            sequence = read(index)
            if sequence.id in sequences:
                raise source.error((index, "id"), f"two {what}s have the id {sequence.id!r}.")
            sequences[sequence.id] = sequence
    source.gathered.check()
    check_some(source, sequences)
    return tuple(sequences.values())


def row_identity(source: Located, path: Path, value: Any, index: int) -> str:
    """The sample's id, with hyphens for characters not allowed in ids; without one, its number, from 1."""
    if value is None:
        return str(index + 1)
    identity = sequence_id(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return unique_id(source, path, identity, (), value)


def read_targets(source: Located, path: Path, value: Any) -> list[str]:
    given = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    for item in given:
        if isinstance(item, bool | dict | list) or not str(item).strip():
            raise source.error(path, "a target is a text or a number, or a list of them, none of them empty.")
    return [str(item) for item in given]


def listed_choices(source: Located, path: Path, value: Any, table: bool) -> list[str]:
    if value is None:
        return []
    if table and isinstance(value, str):
        is_list = value.lstrip().startswith("[")
        value = parse_cell(source, path, value) if is_list else [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise source.error(path, f"choices are a list of 2 to {len(LETTERS)} texts.")
    return [checked_prompt(source, (*path, index), str(item)) for index, item in enumerate(value)]


def choice_expectation(source: Located, path: Path, targets: list[str], choices: list[str]) -> Expectation:
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


def listed_below(prompt: str, choices: list[str]) -> str:
    listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return f"{prompt}\n\n{listed}\n\n{ASKED_LETTER}"


def held_targets(targets: list[str]) -> list[Expectation]:
    """A short target must be in the reply; of several, any one."""
    if not targets or any(len(target) > SHORT_TARGET or "\n" in target for target in targets):
        return []
    return [Expectation(check="includes", value=targets[0] if len(targets) == 1 else {"any": targets})]


def reference_of(targets: list[str], choices: list[str]) -> str | None:
    return None if choices or not targets else targets[0]
