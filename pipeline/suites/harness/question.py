"""A row of a task's data as a question, and as an example before others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.harness.rendered import Filled, row_problem
from nightjar.pipeline.suites.harness.task import HarnessTask, OutputType
from nightjar.pipeline.suites.located import Path

Values = Mapping[str, Filled]
LONGEST_PLACE = 9
"""Digits of a choice's place."""


@dataclass(frozen=True, kw_only=True)
class TaskQuestion:
    """A row as it is asked. `text`: the prompt, or the text that is scored."""

    text: str
    answer: str
    """The right answer; of several the first."""
    target: str | list[str] = ""
    """What a written reply is compared with."""
    choices: tuple[str, ...] = ()
    right: tuple[int, ...] = (0,)
    contexts: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskRowReader:
    """Reads the filled fields of a task's rows, with errors that name the row."""

    task: HarnessTask

    def question(self, values: Values, number: int) -> TaskQuestion:
        """The row as a question. Raises SuiteError."""
        description = str(values["description"].value) if "description" in values else ""
        output = self.task.output
        if output is OutputType.ROLLING:
            text = self._written(values["target"].value, "doc_to_target", number)
            return TaskQuestion(text=text, answer="")
        if output is OutputType.LIKELIHOOD:
            text = self._begun(self._written(values["text"].value, "doc_to_text", number), values)
            target = self._written(values["target"].value, "doc_to_target", number)
            return TaskQuestion(text=text, answer=target, choices=(target,), description=description)
        if output is OutputType.CHOICE:
            return self._choice(values, description, number)
        text = self._begun(self._written(values["text"].value, "doc_to_text", number), values)
        target = self._target(values)
        if "choices" in values:
            target = self._chosen(target, self._choices(values, number), number)
        listed = [str(one) for one in target] if isinstance(target, list) else None
        if listed is not None and not listed:
            raise self._problem("doc_to_target", number, "has no target.")
        return TaskQuestion(
            text=text,
            answer=listed[0] if listed else str(target),
            target=listed if listed is not None else str(target),
            description=description,
        )

    def example(self, values: Values, number: int) -> str:
        """The row with its answer, as it stands before a question. Raises SuiteError."""
        examples = self.task.examples
        text, target = self._asked(values), self._target(values)
        choices = self._choices(values, number) if "choices" in values else ()
        if isinstance(text, int):
            text, choices = self._chosen(text, choices, number), ()
        prefix = _prefix(values)
        if target is None or target == "":
            return str(text) + prefix
        if isinstance(target, int) and choices:
            answer: Any = self._chosen(target, choices, number)
        else:
            answer = target[0] if isinstance(target, list) and target else target
        if not isinstance(text, str) or not isinstance(answer, str):
            raise self._problem("doc_to_target", number, f"gives the answer {answer!r}, which is no text.")
        if prefix:
            between = examples.target_delimiter if _parted(text, prefix) else ""
            return f"{text}{between}{prefix}{' ' if _parted(prefix, answer) else ''}{answer}{examples.delimiter}"
        return f"{text}{examples.target_delimiter}{answer}{examples.delimiter}"

    def _choice(self, values: Values, description: str, number: int) -> TaskQuestion:
        choices = self._choices(values, number)
        text, target = self._asked(values), self._target(values)
        if isinstance(text, int):  # the choices are the contexts, and what follows is the same
            answer = self._written(str(target), "doc_to_target", number)
            self._chosen(text, choices, number)
            same = (answer,) * len(choices)
            return TaskQuestion(
                text=choices[text],
                answer=answer,
                choices=same,
                right=(text,),
                contexts=tuple(choice + _prefix(values) for choice in choices),
                description=description,
            )
        prompt = self._begun(self._written(text, "doc_to_text", number), values)
        wanted = target if isinstance(target, list) else [target]
        right = tuple(dict.fromkeys(self._place(one, choices, number) for one in wanted))
        if not right:
            raise self._problem("doc_to_target", number, "has no right choice.")
        return TaskQuestion(
            text=prompt, answer=choices[right[0]], choices=choices, right=right, description=description
        )

    def _begun(self, text: str, values: Values) -> str:
        """The prompt with how the answer begins."""
        prefix = _prefix(values)
        return text + (self.task.target_delimiter if prefix and _parted(text, prefix) else "") + prefix

    def _asked(self, values: Values) -> Any:
        """`doc_to_text`: a number where the choices are contexts."""
        found = values["text"]
        if found.templated and "choices" in values and _is_place(found.value):
            return int(found.value)
        return int(found.value) if isinstance(found.value, bool) else found.value

    def _target(self, values: Values) -> Any:
        found = values["target"]
        if found.templated and "choices" in values and _is_place(found.value):
            return int(found.value)
        if found.items is not None:
            return found.items
        return int(found.value) if isinstance(found.value, bool) else found.value

    def _choices(self, values: Values, number: int) -> tuple[str, ...]:
        found = values["choices"]
        listed = found.items if found.templated else found.value
        if not isinstance(listed, list) or len(listed) < 1 or not all(isinstance(one, str) for one in listed):
            raise self._problem("doc_to_choice", number, "gives no list of texts.")
        if empty := [at for at, one in enumerate(listed) if not one.strip()]:
            raise self._problem("doc_to_choice", number, f"leaves choice {empty[0]} empty.")
        return tuple(listed)

    def _chosen(self, place: Any, choices: tuple[str, ...], number: int) -> str:
        if isinstance(place, int) and 0 <= place < len(choices):
            return choices[place]
        raise self._problem("doc_to_target", number, f"names the choice {place!r}; there are {len(choices)}, from 0.")

    def _place(self, target: Any, choices: tuple[str, ...], number: int) -> int:
        if isinstance(target, str):
            if target in choices:
                return choices.index(target)
            target = int(target) if _is_place(target) else target  # tables have numbers as texts
        self._chosen(target, choices, number)
        return int(target)

    def _written(self, value: Any, field: str, number: int) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._problem(field, number, f"gives {value!r}, which is no text.")
        return value

    def _problem(self, field: str, number: int, words: str) -> SuiteError:
        path: Path = (field,)
        return row_problem(self.task.file, path, number, words)


def _prefix(values: Values) -> str:
    return str(values["prefix"].value or "") if "prefix" in values else ""


def _parted(first: str, second: str) -> bool:
    """Whether something must stand between them: there is no white space where they meet."""
    return bool(first and second) and not (first[-1].isspace() or second[0].isspace())


def _is_place(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_PLACE
