"""The native suite format, field by field: what a `nightjar: 1` file may say. Pure.

`docs/suite.schema.json` is generated from these models (`published_schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from nightjar.config.errors import ParameterError, UsageError
from nightjar.jobs.parameters import Parameters, check
from nightjar.jobs.sequences import Expectation, FixedMessage, MessageRole, Mode, TextRule
from nightjar.jobs.variants import MOST_VARIANTS, VARIANT_PATTERN, Variant
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.scoring import measures_asked
from nightjar.pipeline.scoring.checks import known_checks
from nightjar.pipeline.scoring.installed import validate_measure
from nightjar.pipeline.scoring.listing import check_metric
from nightjar.pipeline.suites.content import NAME_PATTERN
from nightjar.pipeline.suites.given_tools import Tools

FORMAT_VERSION = 1
AVERAGE_PATTERN = r"^[\w.-]+\.[A-Za-z0-9][A-Za-z0-9_-]{0,59}$"
"""An average's name: the metric, a full stop, and a name of its own."""
SCHEMA_ID = "nightjar-suite-1"
TAG_PATTERN = r"^[^\W_][\w .,'()&+!?#-]{0,99}$"
"""Tags: letters and digits of any script, spaces, and a little punctuation; no colon, slash or control."""
ROW_PATTERN = r"[\w .,'()&+!?#-]{1,60}"
OWN_POOL = "sequences"
ID_PATTERN = rf"{TAG_PATTERN[:-1]}(\[{ROW_PATTERN}\])?$"
"""Sequence ids: like tags, followed by the row in brackets if variables made the sequence."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty.")
    return text


def _parameters(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of parameters, such as {temperature: 0.7}.")
    try:
        check(value, "the suite")
    except ParameterError as error:
        raise ValueError(str(error)) from None
    return value


def _turn(value: Any) -> Any:
    if isinstance(value, str):
        return {"prompt": value}
    if isinstance(value, Mapping) and "prompt" not in value and isinstance(value.get("contexts"), list):
        return {**value, "prompt": " / ".join(map(str, value["contexts"]))}  # for people; the model sees the contexts
    return value


def _document(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _message(value: Any) -> FixedMessage:
    if isinstance(value, Mapping) and value.keys() == {"role", "content"}:  # as chat programs write it
        value = {value["role"]: value["content"]}
    if not isinstance(value, Mapping) or len(value) != 1 or (role := next(iter(value))) not in MESSAGE_ROLES:
        raise ValueError(f"a message is its role with its text, such as `user: Hello`; roles: {_ROLES}.")
    if not isinstance(text := value[role], str):
        raise ValueError("a message is a text.")
    return FixedMessage(role=MessageRole(role), text=_not_blank(text))


def _dialogue(messages: list[FixedMessage] | None) -> list[FixedMessage] | None:
    """The first turn's prompt is a user's message, so that the last one here is not."""
    roles = [message.role for message in messages or ()]
    if any(pair == ("user", "user") for pair in pairwise([*roles, "user"])):
        raise ValueError("two messages of the user's in a row; after the last of `messages` comes the first prompt.")
    return messages


def _cell(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("a variable's value is a text, a number, true or false.")
    return value


def _expectation(value: Any) -> Any:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError("each expectation is one check with its argument, such as `includes: fox`.")
    ((name, argument),) = value.items()
    return Expectation.model_construct(check=name, value=argument)


def _measure(value: Any) -> Any:
    name, argument = measures_asked.read_item(value)
    validate_measure(name, argument)
    return Expectation.model_construct(check=name, value=argument)


def _metric(name: str) -> str:
    check_metric(name)
    return name


def _rubric(value: dict[str, Any]) -> dict[str, Any]:
    try:
        return read_rubric(value, "rubric").model_dump(mode="json")
    except UsageError as error:
        raise ValueError(str(error)) from None


MESSAGE_ROLES = tuple(map(str, MessageRole))
_ROLES = ", ".join(MESSAGE_ROLES)
Text = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
Tag = Annotated[str, Field(pattern=TAG_PATTERN)]
ParameterMap = Annotated[dict[str, Any], PlainValidator(_parameters, json_schema_input_type=Parameters)]
Expect = Annotated[
    Any,
    BeforeValidator(_expectation),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {name: {"description": about} for name, about in known_checks().items()},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
    ),
]
Measure = Annotated[
    Any,
    BeforeValidator(_measure),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(measures_asked.known_measures())},
                {
                    "type": "object",
                    "properties": {
                        name: {"description": about} for name, about in measures_asked.known_measures().items()
                    },
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }
    ),
]
Message = Annotated[
    Any,
    BeforeValidator(_message),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {role: {"type": "string", "minLength": 1} for role in MESSAGE_ROLES},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
    ),
]
Messages = Annotated[list[Message], AfterValidator(_dialogue)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Cell = Annotated[Any, PlainValidator(_cell, json_schema_input_type=bool | int | float | str)]
Rows = Annotated[list[dict[VariableName, Cell]], Field(min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DocumentPart(Part):
    """A text given to the model. A prompt puts it in by `{{documents.name}}`; otherwise it stands before turn 1.

    In a sequence, a name alone takes a document of the suite.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
    text: Text | None = None
    file: Text | None = Field(None, description="A UTF-8 text file beside the suite file or in a folder below it.")

    @model_validator(mode="after")
    def _one_source(self) -> DocumentPart:
        if self.text is not None and self.file is not None:
            raise ValueError("a document has either `text` or `file`, not both.")
        return self


class ExamplePart(Part):
    """A question with its answer, shown before another."""

    prompt: Text
    answer: Text


class ExamplesPart(Part):
    """Examples before the first prompt: fixed ones, or some drawn from a pool by a seed."""

    fixed: list[ExamplePart] | None = Field(None, min_length=1)
    pool: Text | None = Field(None, description=f"A name in `pools`, or `{OWN_POOL}`: the suite's own questions.")
    count: Annotated[int, Field(ge=1, le=100)] | None = None
    first: bool = Field(default=False, description="The first ones of the pool; else drawn for each sequence.")
    seed: Annotated[int, Field(ge=0)] = 0
    separator: str = Field(default="\n\n", pattern=r"\n$", description="Between examples, in plain text.")

    @model_validator(mode="after")
    def _one_kind(self) -> ExamplesPart:
        if (self.fixed is None) == (self.pool is None):
            raise ValueError("examples are either `fixed` or drawn from a `pool`.")
        if (self.pool is None) != (self.count is None):
            raise ValueError("`pool` and `count` go together: how many examples are taken from it.")
        return self


class PerplexityPart(Part):
    """Which tokens of a text are scored: by lm-eval's rolling rule unless something else is said."""

    as_: Literal["lm-eval", "llama-perplexity"] = Field("lm-eval", alias="as")
    window: Annotated[int, Field(ge=2)] | None = Field(None, description="Tokens; default: 2,048 or the context.")
    score_from: Annotated[int, Field(ge=1)] | None = Field(None, description="Of each window, from this token on.")
    bos: bool | None = Field(None, description="Whether a beginning-of-text token is put in front.")
    words: Annotated[int, Field(ge=1)] | None = Field(None, description="What the text counts as, if not as it stands.")
    bytes: Annotated[int, Field(ge=1)] | None = None

    @property
    def rule(self) -> TextRule:
        """As it is stored."""
        window, start = (512, 256) if self.as_ == "llama-perplexity" else (None, None)
        return TextRule(
            window=self.window or window,
            score_from=self.score_from or start,
            bos=self.bos,
            words=self.words,
            bytes=self.bytes,
        )

    @model_validator(mode="after")
    def _begins_inside(self) -> PerplexityPart:
        rule = self.rule
        if rule.score_from is not None and rule.score_from >= (rule.window or 0) - 1:
            raise ValueError("`score_from` must lie inside a `window`, with a token after it.")
        return self


class TurnPart(Part):
    """One prompt. A plain text is short for a turn with nothing but a prompt."""

    prompt: Text
    choices: list[str] | None = Field(None, description="Scored in the place of a reply.", min_length=1)
    contexts: list[str] | None = Field(
        None, description="One prompt for each choice, where they end in the same `continuation`.", min_length=1
    )
    continuation: str | None = Field(None, description="What is scored after the prompt, or after each context.")
    answer: int | str | list[int | str] | None = Field(
        None, description="Which choices are right: places from 0, or texts."
    )
    delimiter: str | None = Field(None, description="In the place of the suite's.")
    name: Text | None = None
    expect: list[Expect] = Field(default=[], description="What the reply is checked for.")
    reference: Text | None = Field(None, description="A good reply, for scorers and judges.")
    parameters: ParameterMap = Field(default={})
    may_repeat: bool = Field(
        default=False, description="Whether the reply before it, given again, is an answer and no failure."
    )


Document = Annotated[DocumentPart, BeforeValidator(_document, json_schema_input_type=Text | DocumentPart)]
Turn = Annotated[TurnPart, BeforeValidator(_turn, json_schema_input_type=Text | TurnPart)]


class SequencePart(Part):
    """Turns that share one conversation. What is given here goes before the suite's own."""

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    turns: list[Turn] = Field(min_length=1)
    tags: list[Tag] = []
    mode: Annotated[Mode | None, Field(strict=False)] = None
    system: Text | None = None
    messages: Messages | None = Field(None, description="In the place of the suite's messages.")
    parameters: ParameterMap = Field(default={})
    documents: list[Document] = []
    variables: Rows | None = Field(None, description="Rows of values: one sequence per row.")
    measures: list[Measure] | None = Field(None, description="In the place of the suite's measures.")
    values: dict[VariableName, Cell] = Field(default={}, description="What variants name, beside the row's values.")
    delimiter: str | None = Field(None, description="In the place of the suite's.")
    examples: ExamplesPart | None = Field(None, description="In the place of the suite's; null: none.")
    perplexity: PerplexityPart | None = Field(None, description="In the place of the suite's.")
    tools: Tools | None = Field(None, description="In the place of the suite's; [] takes none.")
    averages: dict[Annotated[str, Field(pattern=AVERAGE_PATTERN)], Tag] = Field(
        default={}, description="Averages that it is counted in, METRIC.NAME, with its part of each."
    )


class AveragePart(Part):
    """A metric over parts of the suite: each tag is a part, and parts count alike unless they weigh by size."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$")]
    metric: Annotated[Text, AfterValidator(_metric)]
    parts: list[Tag] = Field(min_length=1, description="Tags, each of which is a part.")
    weight_by_size: bool = Field(default=False, description="Whether sequences count alike, and not parts.")


class VariantPart(Part):
    """Other instructions for the same sequences: every model replies once with each variant, and they are ranked.

    What is left out stays as the suite has it. `{{prompt}}` and `{{system}}` stand for what the sequence has there.
    """

    name: Annotated[str, Field(pattern=VARIANT_PATTERN)]
    system: Text | None = Field(None, description="In the place of every system prompt; null: no system prompt.")
    prompt: Text | None = Field(None, description="In the place of every prompt, such as 'Be brief. {{prompt}}'.")
    parameters: ParameterMap = Field(default={}, description="Over those of suite, sequence and turn.")

    @property
    def variant(self) -> Variant:
        """As it is stored: a null that was written means no system prompt."""
        system = "" if "system" in self.model_fields_set and self.system is None else self.system
        return Variant(name=self.name, system=system, prompt=self.prompt, parameters=self.parameters)


class SuitePart(Part):
    """A whole suite file."""

    nightjar: Literal[1] = Field(description="Version of this format.")
    name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = Field(None, description="Default: the file's name.")
    description: str = ""
    licence: Text | None = None
    tags: list[Tag] = []
    mode: Annotated[Mode, Field(strict=False)] = Mode.CHAT
    system: Text | None = None
    messages: Messages = Field(
        default=[], description="Fixed messages before the first prompt, such as examples: the model generates none."
    )
    parameters: ParameterMap = Field(default={})
    documents: list[DocumentPart] = []
    variables: Rows | None = Field(None, description="Rows of values, for every sequence that names one of them.")
    rubric: Annotated[dict[str, Any], AfterValidator(_rubric)] | None = None
    primary_metric: Annotated[Text, AfterValidator(_metric)] | None = None
    measures: list[Measure] = Field(default=[], description="What replies are measured for beside the usual.")
    delimiter: str | None = Field(
        None, description="Between a prompt and each choice; default: a space in plain text, nothing in a chat."
    )
    pools: dict[Annotated[str, Field(pattern=TAG_PATTERN)], list[ExamplePart]] = Field(
        default={}, description="Questions with answers, for `examples`."
    )
    examples: ExamplesPart | None = None
    perplexity: PerplexityPart | None = Field(None, description="How texts are scored, with `mode: perplexity`.")
    tools: Tools = Field(default=[], description="Functions that models at endpoints may call.")
    averages: list[AveragePart] = Field(default=[], description="Metrics summed up over parts.")
    withheld: bool = Field(
        default=False, description="Whether its questions are shown to nobody: given texts in plain text only."
    )
    variants: list[VariantPart] = Field(default=[], max_length=MOST_VARIANTS, description="Tried one beside the other.")
    sequences: list[SequencePart] = Field(min_length=1)


def published_schema() -> dict[str, Any]:
    """JSON Schema of a native suite file, for editors and other tools."""
    schema = SuitePart.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID} | schema
