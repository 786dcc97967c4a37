"""A benchmark's question, and the sequence that it becomes, with examples before it. Pure.

Prompts are those of lm-evaluation-harness' task files. Where a task draws examples, they are drawn as it draws them:
one generator seeded with 1234 for all questions of a task, in their order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.counting import how_many, plural
from nightjar.config.errors import UsageError
from nightjar.jobs.names import made_name
from nightjar.jobs.sequences import Choices, Expectation, Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.few_shot import Example, put_before
from nightjar.pipeline.suites.sample_parts import ASKED_LETTER, listed_below

BenchmarkRow = Mapping[str, Any]
BenchmarkRows = Sequence[BenchmarkRow]
EXAMPLES_SEED = 1234
"""lm-evaluation-harness' default."""
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True, kw_only=True)
class BenchmarkQuestion:
    """One question. `choices`: what is scored; without them the reply is generated and `expect` checks it."""

    id: str
    prompt: str
    answer: str
    """The right answer as an example shows it."""
    choices: tuple[str, ...] = ()
    right: tuple[int, ...] = (0,)
    contexts: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    tags: tuple[str, ...] = ()
    header: str | None = None
    """What stands before the examples."""
    delimiter: str = " "


@dataclass(frozen=True, kw_only=True)
class Shots:
    """The examples before each question."""

    count: int
    pool: Sequence[BenchmarkQuestion] = ()
    first: bool = False
    """The first ones of the pool; else drawn."""
    one_more: bool = False
    """One more is drawn than is shown, as the harness does where a task has no test split."""


def sequences_of(
    questions: Iterable[BenchmarkQuestion], shots: Shots, parameters: Mapping[str, Any] | None = None
) -> Iterator[PromptSequence]:
    """The questions as sequences of one turn, in plain text. Raises UsageError for more examples than there are."""
    source = random.Random(EXAMPLES_SEED)  # noqa: S311
    for question in questions:
        examples = [Example(prompt=one.prompt, answer=one.answer) for one in _drawn(question, shots, source)]
        system, _ = put_before(
            examples, mode=Mode.COMPLETION, system=question.header, messages=(), delimiter=question.delimiter
        )
        yield PromptSequence(
            id=question.id,
            turns=(_turn(question),),
            mode=Mode.COMPLETION,
            system=system,
            tags=question.tags,
            parameters=dict(parameters or {}),
        )


def _drawn(question: BenchmarkQuestion, shots: Shots, source: random.Random) -> Sequence[BenchmarkQuestion]:
    if not shots.count:
        return ()
    need = shots.count + (shots.one_more and not shots.first)
    if len(shots.pool) < need:
        subject = f" for {question.tags[0]}" if shots.first else ""
        raise UsageError(
            f"{how_many(shots.count, 'example')} {plural(shots.count, 'is', 'are')} asked for, and the data has "
            f"{how_many(len(shots.pool), 'question')} to take them from{subject}. Ask for fewer with --shots."
        )
    if shots.first:
        return [one for one in shots.pool if one.prompt != question.prompt][: shots.count]
    drawn = source.sample(list(shots.pool), need)
    return [one for one in drawn if one.prompt != question.prompt][: shots.count]


def _turn(question: BenchmarkQuestion) -> TurnSpec:
    if not question.choices:
        return TurnSpec(prompt=question.prompt, expect=question.expect, reference=question.answer or None)
    choices = Choices(
        texts=question.choices, right=question.right, delimiter=question.delimiter, contexts=question.contexts
    )
    return TurnSpec(prompt=question.prompt, choices=choices)


def in_a_chat(question: BenchmarkQuestion, parameters: Mapping[str, Any]) -> PromptSequence:
    """A question whose answer is written, asked with the model's chat template."""
    return PromptSequence(id=question.id, turns=(_turn(question),), tags=question.tags, parameters=dict(parameters))


def written_twin(question: BenchmarkQuestion) -> PromptSequence:
    """The same question in a chat: the options are listed, and the reply is read for a letter."""
    letters = LETTERS[: len(question.choices)]
    stem = question.prompt.removesuffix("Answer:").rstrip()
    if question.choices == tuple(letters):  # the prompt lists them
        prompt = f"{stem}\n\n{ASKED_LETTER}"
    else:
        prompt = listed_below(stem.removeprefix("Question: "), list(question.choices))
    right = {"answer": letters[question.right[0]], "options": list(letters)}
    turn = TurnSpec(prompt=prompt, expect=(Expectation(check="choice", value=right),), reference=question.answer)
    parameters = {"temperature": 0.0, "max_tokens": 512}
    return PromptSequence(id=question.id, turns=(turn,), tags=question.tags, parameters=parameters)


def row_id(*parts: object) -> str:
    """A sequence's id from what names the row."""
    return made_name("-".join(map(str, parts)), marks="._-", longest=100, otherwise="row")
