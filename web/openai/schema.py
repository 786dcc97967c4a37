"""The requests of OpenAI's protocol, as far as they are supported; `fields` has sorted out the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nightjar.web.openai.fields import FieldRule, sort_fields
from nightjar.web.openai.refusals import RefusedFieldError

MOST_CHOICES = 16
MOST_TOP_LOGPROBS = 20
MOST_STOPS = 64
R = TypeVar("R", bound="BaseModel")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchemaFormat(BaseModel):
    """`schema` itself; name, description and strict say nothing that matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuredOutputs(_Strict):
    json_: dict[str, Any] | None = Field(None, alias="json")
    grammar: str | None = None


class SamplingFields(_Strict):
    """What plain and chat completions share."""

    model: str | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    seed: int | None = None
    stop: Annotated[list[str], Field(max_length=MOST_STOPS), BeforeValidator(_as_list)] | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: float | None = None
    typical_p: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: list[str] | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    repeat_last_n: int | None = None
    n_predict: Annotated[int, Field(ge=-1)] | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    guided_json: dict[str, Any] | None = None
    guided_grammar: str | None = None
    structured_outputs: StructuredOutputs | None = None
    reasoning_budget: int | None = None


class ChatRequest(SamplingFields):
    """`/v1/chat/completions`."""

    messages: list[dict[str, Any]]
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MOST_TOP_LOGPROBS)
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    store: bool = True
    chat_template_kwargs: dict[str, Any] | None = None


def read_request(body: Any, rules: Mapping[str, FieldRule], model: type[R]) -> tuple[R, tuple[str, ...]]:
    """The request, and the names of its fields without effect. Raises RefusedFieldError that names the field."""
    if not isinstance(body, dict):
        raise RefusedFieldError("The body must be a JSON object.", param=None, code="invalid_body")
    fields = sort_fields(body, rules)
    try:
        return model.model_validate(fields.kept), fields.without_effect
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise RefusedFieldError(f"{path}: {message}.", param=path, code="invalid_value") from None
