"""The requests of OpenAI's protocol, as far as they are supported; `fields` has sorted out the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, ValidationError

from nightjar.web.openai.fields import FieldRule, sort_fields
from nightjar.web.openai.refusals import RefusedFieldError

MOST_CHOICES = 16
MOST_TOP_LOGPROBS = 20
MOST_STOPS = 64
MOST_INPUTS = 2048
R = TypeVar("R", bound="BaseModel")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_prompts(value: Any) -> Any:
    """A text or one prompt's token ids by themselves are a list of one."""
    alone = isinstance(value, str) or (isinstance(value, list) and value and all(type(one) is int for one in value))
    return [value] if alone else value


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


class CompletionRequest(SamplingFields):
    """`/v1/completions`."""

    prompt: Annotated[
        list[str | Annotated[list[StrictInt], Field(min_length=1)]],
        Field(min_length=1, max_length=MOST_CHOICES),
        BeforeValidator(_as_prompts),
    ]
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=5)
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    """0 only with `echo`."""
    store: bool = True


class EmbeddingRequest(_Strict):
    """`/v1/embeddings`."""

    input: Annotated[list[Any], Field(min_length=1, max_length=MOST_INPUTS), BeforeValidator(_as_list)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"


class TokenizeRequest(BaseModel):
    """`/tokenize` and `/apply-template`: a text or a conversation."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_special_tokens: bool | None = None
    """None: where the model wants them before a text, and not before a conversation, whose template has them."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)


class DetokenizeRequest(BaseModel):
    """`/detokenize`."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: str | None = None
    tokens: list[int]


def only_texts(given: list[Any], param: str) -> list[str]:
    """Raises RefusedFieldError where some are token ids, or nothing that can be read."""
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise RefusedFieldError(
            f"{param!r} must be text or a list of texts; token ids cannot be used yet.",
            param=param,
            code="not_yet_supported",
        )
    return texts


def read_loosely(body: Any, model: type[R]) -> R:
    """A request of a protocol whose further fields say nothing here. Raises RefusedFieldError."""
    return _validated({key: value for key, value in _object(body).items() if value is not None}, model)


def read_request(body: Any, rules: Mapping[str, FieldRule], model: type[R]) -> tuple[R, tuple[str, ...]]:
    """The request, and the names of its fields without effect. Raises RefusedFieldError that names the field."""
    fields = sort_fields(_object(body), rules)
    return _validated(fields.kept, model), fields.without_effect


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise RefusedFieldError("The body must be a JSON object.", param=None, code="invalid_body")
    return body


def _validated(fields: Mapping[str, Any], model: type[R]) -> R:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise RefusedFieldError(f"{path}: {message}.", param=path, code="invalid_value") from None
