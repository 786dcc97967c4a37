"""EQ-bench's creative writing prompts (`creative_writing_prompts_v3.json`), with their seed modifiers. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.names import passed_over, sequence_id, tag_of, unique_id
from nightjar.pipeline.suites.native_file import NotBlank
from nightjar.pipeline.suites.variables import documents_in

SEED = "<SEED>"
PARAMETERS = {"temperature": 0.7, "min_p": 0.1, "max_tokens": 4000}
"""The ones that EQ-bench itself generates with."""


class WritingPrompt(BaseModel):
    """One prompt. `<SEED>` in it is replaced by the iteration's modifier."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    category: str | None = None
    title: str | None = None
    writing_prompt: NotBlank
    seed_modifiers: list[str] = Field(min_length=1, max_length=1000)
    """One may be empty: then nothing stands in place of `<SEED>`."""


def read_eq_bench(source: Located, name: str) -> SuiteContent:
    """A sequence per prompt and iteration, called `ID[1]`, `ID[2]`, ...: iteration n has the n-th modifier.

    A prompt without `<SEED>` makes one sequence. Raises SuiteError.
    """
    if not isinstance(source.data, dict) or not source.data:
        raise source.error((), "the file is an object: prompt id -> {writing_prompt, seed_modifiers}.")
    sequences: dict[str, Sequence] = {}
    for key in source.data:
        with source.gathered.part():
            _add(source, key, sequences)
    source.gathered.check()
    return SuiteContent(
        name=name,
        description="EQ-bench creative writing prompts",
        sequences=tuple(sequences.values()),
        notes=passed_over(source.data.values(), tuple(WritingPrompt.model_fields), "prompts"),
    )


def _add(source: Located, key: str, sequences: dict[str, Sequence]) -> None:
    prompt = source.validate(WritingPrompt, (key,))
    for iteration, modifier in enumerate(prompt.seed_modifiers if SEED in prompt.writing_prompt else [""], 1):
        text = prompt.writing_prompt.replace(SEED, modifier)
        if documents_in(text):
            raise source.error((key, "writing_prompt"), "{{documents...}} is not known in this format.")
        identity = unique_id(source, (key,), f"{sequence_id(key)}[{iteration}]", sequences, key)
        sequences[identity] = Sequence(
            id=identity,
            turns=(TurnSpec(prompt=text, name=(prompt.title or "").strip() or None),),
            tags=(*tag_of(prompt.category or ""), f"iteration {iteration}"),
            parameters=PARAMETERS,
        )
