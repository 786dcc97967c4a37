"""Storybench's `prompts.json`: `{Sequence: [{name, text}, ...]}`. Pure."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.native_file import ID_PATTERN, Text
from nightjar.pipeline.suites.variables import documents_in

_UNFIT = re.compile(r"[^\w .,'()&+!?#-]+")


class Prompt(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text | None = None
    text: Text


def read_storybench(source: Located, name: str) -> SuiteContent:
    """One sequence per key, with its prompts as turns, in file order. Raises SuiteError."""
    if not isinstance(source.data, dict) or not source.data:
        raise source.error((), "a Storybench file is an object: sequence name -> list of {name, text}.")
    sequences: dict[str, Sequence] = {}
    for key, prompts in source.data.items():
        if not isinstance(prompts, list) or not prompts:
            raise source.error((key,), "must be a list of {name, text} with at least one prompt.")
        identity = sequence_id(key)
        if not re.fullmatch(ID_PATTERN, identity) or identity in sequences:
            raise source.error((key,), f"the name {key!r} gives no unique sequence id ({identity!r}).")
        turns = []
        for index in range(len(prompts)):
            prompt = source.validate(Prompt, (key, index))
            if documents_in(prompt.text):
                raise source.error((key, index, "text"), "{{documents...}} in a prompt is not known in this format.")
            turns.append(TurnSpec(prompt=prompt.text, name=prompt.name))
        sequences[identity] = Sequence(id=identity, turns=tuple(turns))
    return SuiteContent(name=name, description="Storybench prompts", sequences=tuple(sequences.values()))


def sequence_id(key: str) -> str:
    """A sequence's name as an id: characters not allowed in ids become hyphens."""
    return _UNFIT.sub("-", key).strip(" -")
