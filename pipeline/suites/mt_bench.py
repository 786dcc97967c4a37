"""MT-bench's `question.jsonl`: one question per line, two turns each. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.native_file import Tag, Text
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
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not re.fullmatch(r"\w[\w.-]{0,100}", text):
        raise ValueError(f"{value!r} is no id: give a whole number, or letters, digits, '.', '_' and '-'.")
    return text


class Question(BaseModel):
    """One line. `reference` has a text per turn; an empty one means no reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    question_id: Annotated[str, PlainValidator(_identity)]
    category: Tag
    turns: list[Text] = Field(min_length=1)
    reference: list[str] | None = None


def read_mt_bench(source: Located, name: str) -> SuiteContent:
    """One sequence per question, in file order; the category becomes the tag. Raises SuiteError."""
    sequences: dict[str, Sequence] = {}
    for index in range(len(source.data)):
        question = source.validate(Question, (index,))
        identity = question.question_id
        if identity in sequences:
            raise source.error((index, "question_id"), f"two questions have the id {identity}.")
        references = [text.strip() or None for text in question.reference or ()]
        if len(references) > len(question.turns):
            raise source.error((index, "reference"), f"{len(references)} references for {len(question.turns)} turns.")
        for turn, prompt in enumerate(question.turns):
            if documents_in(prompt):
                raise source.error((index, "turns", turn), "{{documents...}} in a prompt is not known in this format.")
        references += [None] * (len(question.turns) - len(references))
        sequences[identity] = Sequence(
            id=identity,
            turns=tuple(
                TurnSpec(prompt=prompt, reference=reference)
                for prompt, reference in zip(question.turns, references, strict=True)
            ),
            tags=(question.category,),
            parameters={
                "temperature": TEMPERATURES.get(question.category, OTHER_TEMPERATURE),
                "max_tokens": MAX_TOKENS,
            },
        )
    if not sequences:
        raise source.error((), "the file holds no question.")
    return SuiteContent(name=name, description="MT-bench questions", sequences=tuple(sequences.values()))
