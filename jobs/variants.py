"""Variants of a model: other instructions, prompts or parameters for the same sequences. Pure.

A contestant is a model, or a model with a variant: what a report ranks. The variant belongs to the contestant and not
to the sequence, which keeps its digest: contestants are compared sequence by sequence, and draw with the same seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.placeholders import fill_text
from nightjar.jobs.sequences import Sequence

VARIANT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
"""Names of variants: no `+`, which joins them to the model's name."""
MOST_VARIANTS = 100
OWN = ("prompt", "system")
"""What a variant's texts may name beside the values of a sequence's row: the sequence's own text in that place."""


class Variant(BaseModel):
    """What a model is given otherwise. None leaves what the sequence has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=VARIANT_PATTERN)]
    system: str | None = None
    """In the place of every sequence's system prompt; "": no system prompt."""
    prompt: str | None = None
    """In the place of every turn's prompt, which it may name as {{prompt}}."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Over those of suite and turn, below --set."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model of a run with a variant, or without one where the run has none."""

    model: str
    variant: str | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        return contestant_name(self.model, self.variant)


def contestant_name(model: str, variant: str | None) -> str:
    """MODEL+VARIANT, or the model's own name."""
    return model if variant is None else f"{model}+{variant}"


def varied(sequence: Sequence, variant: Variant | None) -> Sequence:
    """The sequence as a contestant with this variant is asked it. Parameters are a layer of their own."""
    if variant is None:
        return sequence
    system = sequence.system
    if variant.system is not None:
        system = fill_text(variant.system, {"system": system or "", **sequence.values}) or None
    turns = sequence.turns
    if variant.prompt is not None:
        template = variant.prompt
        turns = tuple(
            turn.model_copy(update={"prompt": fill_text(template, {"prompt": turn.prompt, **sequence.values})})
            for turn in turns
        )
    return sequence.model_copy(update={"system": system, "turns": turns})
