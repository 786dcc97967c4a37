"""A task and the rows of its data as a suite: prompts, examples and continuations as the harness builds them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.config.counting import how_many
from nightjar.jobs.names import made_name
from nightjar.jobs.sequences import Choices, Expectation, Mode, TextRule, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.benchmarks.question import row_id
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.harness.generation import read_generation
from nightjar.pipeline.suites.harness.metrics import Counting, read_counting
from nightjar.pipeline.suites.harness.question import TaskQuestion, TaskRowReader
from nightjar.pipeline.suites.harness.rendered import HarnessRows, RowRenderer, filled
from nightjar.pipeline.suites.harness.shots import drawn_examples
from nightjar.pipeline.suites.harness.task import HarnessTask, OutputType
from nightjar.pipeline.suites.names import tag_of


def splits_of(task: HarnessTask) -> tuple[str, ...]:
    """The splits whose rows are needed: the asked one, and the one that examples are taken from."""
    pool = task.examples.split if task.examples.count and not task.examples.samples else None
    return tuple(dict.fromkeys(split for split in (task.asked, pool) if split is not None))


def suite_of_task(task: HarnessTask, data: Mapping[str, HarnessRows], renderer: RowRenderer) -> SuiteContent:
    """The suite. `data`: the rows of each needed split. Raises SuiteError that names the task's field, and the row."""
    counting = read_counting(task)
    parameters = read_generation(task) if task.output is OutputType.WRITTEN else {}
    rows = _whole(data[task.asked])
    if not rows:
        raise task.file.error((), f"the data of the split {task.asked!r} has no row.")
    features = frozenset(rows[0])
    reader = TaskRowReader(task=task)
    asked = filled(task.file, task.fields, rows, features, renderer)
    questions = [reader.question(values, number) for number, values in enumerate(asked)]
    before = _examples(task, data, rows, features, renderer, reader)
    sequences = tuple(
        _sequence(task, question, shown, counting, parameters, number)
        for number, (question, shown) in enumerate(zip(questions, before, strict=True))
    )
    count = task.examples.count
    examples = "" if task.output is OutputType.ROLLING else f", {how_many(count, 'example')}"
    return SuiteContent(
        name=made_name(task.name, marks="._-", longest=100, otherwise="task").rstrip("._-"),
        description=f"lm-evaluation-harness' task {task.name}{examples}. Split {task.asked}.",
        tags=tuple(dict.fromkeys(tag for text in task.tags for tag in tag_of(text))),
        sequences=sequences,
        primary_metric=counting.primary,
    )


def _whole(rows: HarnessRows) -> HarnessRows:
    """The rows with every field that any of them has: without a value it is none, as tables have it."""
    fields = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in fields} for row in rows]


def _examples(
    task: HarnessTask,
    data: Mapping[str, HarnessRows],
    rows: HarnessRows,
    features: frozenset[str],
    renderer: RowRenderer,
    reader: TaskRowReader,
) -> Iterator[str]:
    """The text of the examples before each row."""
    if not task.examples.count or task.output is OutputType.ROLLING:
        yield from ("" for _ in rows)
        return
    split = task.examples.split
    pool = _whole(task.examples.samples or (data[split] if split is not None else ()))
    drawn = list(drawn_examples(task, rows, pool))
    used = sorted({place for places in drawn for place in places})
    fields = {**{name: field for name, field in task.fields.items() if name != "description"}, **task.examples.fields}
    values = filled(task.file, fields, [pool[place] for place in used], features, renderer)
    texts = {place: reader.example(value, place) for place, value in zip(used, values, strict=True)}
    yield from ("".join(texts[place] for place in places) for places in drawn)


def _sequence(
    task: HarnessTask,
    question: TaskQuestion,
    examples: str,
    counting: Counting,
    parameters: Mapping[str, Any],
    number: int,
) -> PromptSequence:
    identity = row_id("row", number)
    if task.output is OutputType.ROLLING:
        text = question.text
        rule = TextRule(words=len(re.split(r"\s+", text)), bytes=len(text.encode()))
        turn = TurnSpec(prompt=text)
        return PromptSequence(id=identity, turns=(turn,), mode=Mode.PERPLEXITY, text_rule=rule)
    choices = None
    if question.choices:
        delimiter = task.target_delimiter if task.output is OutputType.CHOICE else ""
        choices = Choices(texts=question.choices, right=question.right, delimiter=delimiter, contexts=question.contexts)
    expect: tuple[Expectation, ...] = ()
    if choices is None:
        try:
            expect = counting.expectations(question.target)
        except ValueError as error:
            raise task.file.error(("doc_to_target",), f"row {number} of the data: {error}") from None
    turn = TurnSpec(
        prompt=question.text,
        choices=choices,
        expect=expect,
        reference=None if choices is not None else question.answer or None,
    )
    system = question.description + examples
    return PromptSequence(
        id=identity, turns=(turn,), mode=Mode.COMPLETION, system=system or None, parameters=dict(parameters)
    )
