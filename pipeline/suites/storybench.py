"""Storybench's `prompts.json`: `{Sequence: [{name, text}, ...]}`. Pure."""

from __future__ import annotations

from itertools import chain

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located, Path
from nightjar.pipeline.suites.names import passed_over, sequence_id, unique_id
from nightjar.pipeline.suites.native_file import NotBlank
from nightjar.pipeline.suites.variables import documents_in


class Prompt(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: str | None = None
    text: NotBlank


def read_storybench(source: Located, name: str) -> SuiteContent:
    """One sequence per key, with its prompts as turns, in file order. Raises SuiteError."""
    if not isinstance(source.data, dict) or not source.data:
        raise source.error((), "a Storybench file is an object: sequence name -> list of {name, text}.")
    sequences: dict[str, Sequence] = {}
    for key, prompts in source.data.items():
        with source.gathered.part():
            if not isinstance(prompts, list) or not prompts:
                raise source.error((key,), "must be a list of {name, text} with at least one prompt.")
            identity = unique_id(source, (key,), sequence_id(key), sequences, key)
            turns = tuple(_turn(source, (key, index)) for index in range(len(prompts)))
            sequences[identity] = Sequence(id=identity, turns=turns)
    source.gathered.check()
    notes = passed_over(chain.from_iterable(source.data.values()), tuple(Prompt.model_fields), "prompts")
    return SuiteContent(name=name, description="Storybench prompts", sequences=tuple(sequences.values()), notes=notes)


def _turn(source: Located, path: Path) -> TurnSpec:
    prompt = source.validate(Prompt, path)
    if documents_in(prompt.text):
        raise source.error((*path, "text"), "{{documents...}} in a prompt is not known in this format.")
    return TurnSpec(prompt=prompt.text, name=(prompt.name or "").strip() or None)
