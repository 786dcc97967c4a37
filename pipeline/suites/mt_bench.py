"""MT-bench's `question.jsonl`: one question per line, two turns each. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from nightjar.config.counting import how_many
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.names import passed_over, sequence_id, tag_of, unique_id
from nightjar.pipeline.suites.native_file import NotBlank
from nightjar.pipeline.suites.variables import documents_in

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
"""FastChat's `temperature_config`."""
OTHER_TEMPERATURE = 0.7
MAX_TOKENS = 1024
"""FastChat's `--max-new-token`."""


def _identity(value: object) -> str:
    identity = sequence_id(value if isinstance(value, str) else str(value) if type(value) is int else "")
    if not identity:
        raise ValueError(f"{value!r} is no id: give a whole number or a text with letters and digits.")
    return identity


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _references(value: object) -> object:
    given = _listed([] if value is None else value)
    return ["" if text is None else text for text in given] if isinstance(given, list) else given


class Question(BaseModel):
    """One line. `reference` has a text per turn; an empty one means no reference.

    The names in other files of that kind are understood, too: `prompt_id` and `uid`, `prompt`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    question_id: Annotated[
        str, PlainValidator(_identity), Field(validation_alias=AliasChoices("question_id", "prompt_id", "uid"))
    ]
    category: NotBlank
    turns: Annotated[
        list[NotBlank],
        BeforeValidator(_listed),
        Field(min_length=1, validation_alias=AliasChoices("turns", "prompt")),
    ]
    reference: Annotated[list[str], BeforeValidator(_references)] = []


KNOWN = ("question_id", "prompt_id", "uid", "category", "turns", "prompt", "reference")


def read_mt_bench(source: Located, name: str) -> SuiteContent:
    """One sequence per question, in file order; the category becomes the tag. Raises SuiteError."""
    sequences: dict[str, Sequence] = {}
    for index in range(len(source.data)):
        with source.gathered.part():
            question = source.validate(Question, (index,))
            given = next(source.data[index][key] for key in KNOWN if key in source.data[index])
            identity = unique_id(source, (index, "question_id"), question.question_id, sequences, given)
            sequences[identity] = Sequence(
                id=identity,
                turns=_turns(source, index, question),
                tags=tag_of(question.category),
                parameters={
                    "temperature": TEMPERATURES.get(question.category.lower(), OTHER_TEMPERATURE),
                    "max_tokens": MAX_TOKENS,
                },
            )
    source.gathered.check()
    if not sequences:
        raise source.error((), "the file holds no question.")
    notes = passed_over(source.data, KNOWN, "questions")
    return SuiteContent(name=name, description="MT-bench questions", sequences=tuple(sequences.values()), notes=notes)


def _turns(source: Located, index: int, question: Question) -> tuple[TurnSpec, ...]:
    references = [text.strip() or None for text in question.reference]
    if len(references) > len(question.turns):
        raise source.error(
            (index, "reference"),
            f"{how_many(len(references), 'reference')} for {how_many(len(question.turns), 'turn')}.",
        )
    for turn, prompt in enumerate(question.turns):
        if documents_in(prompt):
            raise source.error((index, "turns", turn), "{{documents...}} in a prompt is not known in this format.")
    references += [None] * (len(question.turns) - len(references))
    return tuple(
        TurnSpec(prompt=prompt, reference=reference)
        for prompt, reference in zip(question.turns, references, strict=True)
    )
