"""Generation parameters, and which layer each value came from. Pure.

Layers, lowest first: Nightjar's default < the GGUF's own `general.sampling.*` < models.toml < suite < turn
< variant < `--set key=value` < `--set MODEL:key=value`. A later layer wins, key by key; of `template`, variable by
variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from reprlib import Repr
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from nightjar.config.errors import ParameterError, suggest
from nightjar.jobs.schema_bounds import check_schema_bounds


class Policy(StrEnum):
    """What the conversation may do when its history does not fit the context."""

    FULL = "full"
    TRIM = "trim"
    SUMMARISE = "summarise"
    RECALL = "recall"


class ParameterSource(StrEnum):
    DEFAULT = "default"
    GGUF = "gguf"
    REGISTRY = "models.toml"
    SUITE = "suite"
    TURN = "turn"
    VARIANT = "variant"
    SET = "--set"
    SET_MODEL = "--set MODEL"


OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"})
"""Template variables that cannot be set."""
MEMORY_PATTERN = r"^(shared/)?[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
Probability = Annotated[float, Field(ge=0, le=1)]


_BRIEF = Repr()
_BRIEF.maxstring = _BRIEF.maxother = 200
_BRIEF.maxlevel = 2


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    check_schema_bounds(schema)
    return schema


class Parameters(BaseModel):
    """Everything that shapes one reply. Numbers are checked; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(0.8, ge=0, le=100)
    top_k: int = Field(40, ge=0)
    top_p: Probability = 0.95
    min_p: Probability = 0.05
    typical_p: Probability = 1.0
    xtc_probability: Probability = 0.0
    xtc_threshold: Probability = 0.1
    dry_multiplier: float = Field(0.0, ge=0)
    dry_base: float = Field(1.75, ge=1)
    dry_allowed_length: int = Field(2, ge=1)
    dry_penalty_last_n: int = Field(-1, ge=-1)
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    repeat_penalty: float = Field(1.0, gt=0)
    repeat_last_n: int = Field(64, ge=-1)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    logit_bias: dict[int, float] = Field(default_factory=dict)
    max_tokens: int = Field(1024, ge=1)
    min_tokens: int = Field(1, ge=0)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    grammar: str | None = Field(None, min_length=1)
    json_schema: Annotated[dict[str, Any], AfterValidator(_bounded)] | None = None
    reasoning_budget: int | None = Field(None, ge=0)
    top_logprobs: int = Field(0, ge=0, le=100)
    """From 1 on also the mean log-probability of the reply."""
    time_limit_s: float = Field(600.0, gt=0)
    """From its first step on; waiting for a slot does not count."""
    policy: Policy = Policy.TRIM
    recall_share: float = Field(0.25, gt=0, le=0.9)
    """Of the tokens that a prompt may have, how many recalled exchanges may take (policy recall)."""
    memory: Annotated[str, Field(pattern=MEMORY_PATTERN)] | None = None
    """The memory that facts are given from and kept in; see `jobs.memory`."""
    memory_share: float = Field(0.1, gt=0, le=0.5)
    """Of the tokens that a prompt may have, how many its facts may take."""
    retry_empty: int = Field(0, ge=0, le=10)
    template: dict[str, Any] = Field(default_factory=dict)
    """Variables that the model's chat template reads: `enable_thinking`, `reasoning_effort`, whatever it knows."""

    @field_validator("template")
    @classmethod
    def _variables(cls, variables: dict[str, Any]) -> dict[str, Any]:
        for name in variables:
            if not name.isidentifier():
                raise PydanticCustomError("template_variable", f"{name!r} is no name that a template could read")
            if name in OURS:
                raise PydanticCustomError("template_variable", f"{name!r} is set by Nightjar itself")
        return variables


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The parameters of one turn; `sources` has the layer of every field."""

    values: Parameters
    sources: dict[str, ParameterSource]


Layer = tuple[ParameterSource, Mapping[str, Any]]


def resolve(layers: Sequence[Layer]) -> Resolved:
    """Later layers win, key by key. Raises ParameterError that names layer and key."""
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Parameters.model_fields, ParameterSource.DEFAULT)
    for source, layer in layers:
        check(layer, source)
        values = merged(values, layer)
        sources.update(dict.fromkeys(layer, source))
    return Resolved(values=Parameters(**values), sources=sources)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two layers as one."""
    both = {**below, **above}
    if "template" in below and "template" in above:
        both["template"] = {**below["template"], **above["template"]}
    return both


def check(layer: Mapping[str, Any], source: str) -> None:
    """Raises ParameterError when a key is unknown or a value is out of its range."""
    for key in layer:
        if key not in Parameters.model_fields:
            raise ParameterError(f"Unknown parameter {key!r} (from {source}). {suggest(key, Parameters.model_fields)}")
    try:
        Parameters(**layer)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ParameterError(
            f"Parameter {key!r} (from {source}) is {_BRIEF.repr(first['input'])}: {message}."
        ) from None


def parse_assignment(text: str) -> tuple[str | None, str, Any]:
    """Reads `key=value` or `MODEL:key=value` (value as JSON, else as text) into (model, key, value).

    `template.NAME=value` gives ("template", {NAME: value}).
    """
    import json

    name, equals, raw = text.partition("=")
    if not equals or not name.strip():
        raise ParameterError(f"--set {text!r} is not of the form key=value or MODEL:key=value.")
    model, colon, key = name.strip().rpartition(":")
    try:
        value = json.loads(raw)
    except ValueError:
        value = raw
    if key.startswith("template."):
        key, value = "template", {key.removeprefix("template."): value}
    check({key: value}, f"--set {text}")
    return (model if colon else None), key, value


FinishReason = Literal["stop", "length", "context", "timeout", "cancelled", "grammar"]
"""Why a reply ended: its own end or a stop string; max_tokens; a full context; a time limit; a cancel; a grammar or
schema that cannot be followed further, because a limit was reached in it."""
