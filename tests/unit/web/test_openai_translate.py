"""OpenAI's requests as live requests: tables of fields, parameters, messages and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import BaseModel

from nightjar.config.errors import NotServedError, QueueFullError, TooLongError, UnknownNameError
from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece, TextPart
from nightjar.jobs.live_request import LiveAsk, live_sequence
from nightjar.jobs.records import TokenChance
from nightjar.web.openai.bodies import parse_body
from nightjar.web.openai.fields import CHAT, COMPLETION, EMBEDDING, FieldRule, Use, field_table, sort_fields
from nightjar.web.openai.refusals import RefusedFieldError, openai_error
from nightjar.web.openai.schema import ChatRequest, CompletionRequest, EmbeddingRequest, read_request
from nightjar.web.openai.translate import ChatShape, chat_asks, chat_parameters
from nightjar.web.statuses import retry_headers, status_of_error

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
HELLO = [{"role": "user", "content": "Hello"}]


def asks(**fields: Any) -> list[LiveAsk]:
    request, _ = read_request({"messages": HELLO} | fields, CHAT, ChatRequest)
    return chat_asks(request, "m", "ada")


REQUESTS: list[tuple[str, Any, Mapping[str, FieldRule], type[BaseModel]]] = [
    ("chat", ChatParams, CHAT, ChatRequest),
    ("completion", TextParams, COMPLETION, CompletionRequest),
    ("embedding", EmbeddingCreateParams, EMBEDDING, EmbeddingRequest),
]


@pytest.mark.parametrize(("mark", "theirs", "rules", "ours"), REQUESTS)
def test_every_field_of_openai_has_a_rule(
    mark: str, theirs: Any, rules: Mapping[str, FieldRule], ours: type[BaseModel]
) -> None:
    """What is supported is what the request has; and the page has the table: `field_table` between its marks."""
    assert set(theirs.__annotations__) - set(rules) == set()
    assert {name for name, rule in rules.items() if rule.use is Use.SUPPORTED} == set(ours.model_fields)
    assert f"<!-- {mark} -->\n\n{field_table(rules)}\n\n<!-- /{mark} -->" in DOCS.read_text("utf-8")


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"user": "u", "metadata": {}, "service_tier": "auto"}, ("user", "metadata", "service_tier")),
        ({"tools": [], "tool_choice": "none", "modalities": ["text"]}, ("tools", "tool_choice", "modalities")),
        ({"tools": None, "temperature": None}, ()),
        ({"temperature": 0.5}, ()),
    ],
)
def test_fields_without_effect_are_named(fields: dict[str, Any], without: tuple[str, ...]) -> None:
    assert sort_fields(fields, CHAT).without_effect == without


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"tools": [{"type": "function"}]}, "not_yet_supported", "tools"),
        ({"tool_choice": "required"}, "not_yet_supported", "tool_choice"),
        ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
        ({"mirostat": False}, "unsupported_parameter", "mirostat"),  # 0 is neutral, False is a mistake
        ({"temprature": 1}, "unsupported_parameter", "temprature"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"n": 17}, "invalid_value", "n"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"logit_bias": {"x": 1}}, "invalid_value", "logit_bias"),
        ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format"),
        ({"grammar": 'root ::= "a"', "json_schema": {}}, "invalid_value", "grammar"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "not_yet_supported",
            "messages.0.content",
        ),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(RefusedFieldError) as refused:
        asks(**fields)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({}, {}),
        ({"temperature": 0.2, "top_p": 0.9, "top_k": -1}, {"temperature": 0.2, "top_p": 0.9, "top_k": 0}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"n_predict": -1}, {}),
        ({"n_predict": 3}, {"max_tokens": 3}),
        ({"stop": "a"}, {"stop": ["a"]}),
        ({"stop": ["a", ""]}, {"stop": ["a"]}),
        ({"logit_bias": {"7": -100}}, {"logit_bias": {7: -100}}),
        ({"repetition_penalty": 1.1}, {"repeat_penalty": 1.1}),
        ({"logprobs": True}, {"top_logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 4}, {"top_logprobs": 4}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"json_schema": {"type": "object"}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "null"}}}},
            {"json_schema": {"type": "null"}},
        ),
        ({"guided_json": {"type": "null"}}, {"json_schema": {"type": "null"}}),
        ({"structured_outputs": {"grammar": 'root ::= "a"'}}, {"grammar": 'root ::= "a"'}),
        ({"reasoning_effort": "low"}, {"template": {"reasoning_effort": "low"}}),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"template": {"enable_thinking": False}}),
    ],
)
def test_parameters(fields: dict[str, Any], parameters: dict[str, Any]) -> None:
    request, _ = read_request({"messages": HELLO} | fields, CHAT, ChatRequest)
    assert chat_parameters(request) == parameters
    live_sequence(asks(**fields)[0], "x")  # and Nightjar takes them


@pytest.mark.parametrize(
    ("seed", "n", "seeds"),
    [(None, 2, [None, None]), (-1, 1, [None]), (7, 3, [7, 8, 9]), (MOST_SEED, 2, [MOST_SEED, 0]), (2**40, 1, [0])],
)
def test_seeds_follow_the_index(seed: int | None, n: int, seeds: list[int | None]) -> None:
    assert [ask.seed for ask in asks(seed=seed, n=n)] == seeds


def test_a_history_with_tools_becomes_the_sequence() -> None:
    """A call's arguments, a text in OpenAI's form, are the object that templates read."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    history = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is f(1)?"}]},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    sequence = live_sequence(asks(messages=history, store=False)[0], "x")
    assert sequence.system == "Be brief."
    assert sequence.messages[1].tool_calls[0]["function"]["arguments"] == {"a": 1}
    assert (sequence.turns[0].prompt, sequence.turns[0].answers is not None) == ("2", True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": 9223372036854775808}',
        b'{"a": "\\ud800"}',
        b'{"\\u0000": 1}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_cannot_be_used(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_body(body)


def test_a_body_with_whole_surrogate_pairs_can_be_used() -> None:
    assert parse_body(json.dumps({"a": "🦊"}).encode()) == {"a": "🦊"}


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (UnknownNameError("model", "x", ["y"]), 404, "not_found_error", "model_not_found"),
        (TooLongError("", tokens=9, context=8), 400, "invalid_request_error", "context_length_exceeded"),
        (QueueFullError("", retry_after_s=5), 429, "rate_limit_error", "rate_limit_exceeded"),
        (NotServedError("", retry_after_s=9.1), 503, "server_error", "model_not_loaded"),
    ],
)
def test_errors(error: Exception, status: int, kind: str, code: str) -> None:
    said = openai_error(status_of_error(error), str(error), error)["error"]
    assert (status_of_error(error), said["type"], said["code"]) == (status, kind, code)
    if isinstance(error, TooLongError):
        assert (said["tokens"], said["context"]) == (9, 8)
    assert retry_headers(error) == ({"retry-after": {429: "5", 503: "10"}[status]} if status in (429, 503) else {})


def an_end(**changes: Any) -> LiveEnd:
    known: dict[str, Any] = {
        "job": "j",
        "reply": "Hi",
        "reasoning": "",
        "finish_reason": "stop",
        "stop_string": None,
        "prompt_tokens": 300,
        "reused_tokens": 200,
        "reply_tokens": 2,
        "reasoning_tokens": 0,
        "seed": 3,
        "fence": 1,
        "worker": "w",
        "claim_s": 0.1,
        "queue_s": 0.2,
        "prefill_s": 0.3,
        "decode_s": 0.4,
        "first_token_s": 0.5,
        "mean_logprob": None,
        "empty": None,
        "chances": (),
    }
    return LiveEnd(**known | changes)


def test_answers() -> None:
    chance = TokenChance(text="Hi", logprob=-0.5, top=(("Hi", -0.5), ("\ufffd", -2.0)))
    shape = ChatShape(id="c", created=1, model="m", top_logprobs=2)
    whole = shape.completion(
        [
            an_end(chances=(TokenChance(text="<think>", logprob=-1), chance), reasoning_tokens=1),
            an_end(finish_reason="context", reasoning="So."),
        ]
    )
    assert whole["usage"]["prompt_tokens"] == 300  # once, though there are two choices
    assert whole["usage"]["completion_tokens"] == 4
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 128}  # rounded: it tells of other users
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", "length"]
    assert whole["choices"][1]["message"]["reasoning_content"] == "So."
    likely = whole["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert [entry["bytes"] for entry in likely] == [[72, 105], None]
    assert whole["nightjar"][0] == {
        "job": "j",
        "seed": 3,
        "finish_reason": "stop",
        "queue_s": 0.3,
        "prefill_s": 0.3,
        "decode_s": 0.4,
    }
    piece = shape.piece(1, LivePiece(part=TextPart.REASONING, text="So"))
    assert piece["choices"][0]["delta"] == {"reasoning_content": "So"}
