"""Replies under a JSON Schema, drawn nearly at random from the bundled model: what ended by itself is valid."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLParserLimits

from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.grammar import matcher
from nightjar.workers.engine.request import Request
from tests.demo_engine import demo_engine

SEEDS = 8
NULL, TRUTH = {"type": "null"}, {"type": "boolean"}
TAGGED = [{"properties": {"kind": {"const": k}, k: TRUTH}, "required": ["kind"], "type": "object"} for k in ("a", "b")]
SCHEMAS: list[dict[str, Any]] = [
    {  # what judges ask for
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": 20}, "score": {"enum": [1, 2, 3, 4, 5]}},
        "required": ["reason", "score"],
        "additionalProperties": False,
    },
    {"type": "integer", "minimum": -7, "maximum": 120},
    {"type": "number"},
    {"type": "string", "minLength": 3, "maxLength": 12},
    {"type": ["string", "null"], "maxLength": 3},
    {"minLength": 2, "maxLength": 4},  # no type
    {"enum": ["a", 'q"\\', "é\n", 1.5, None, [1, {"x": True}]]},
    {"const": {"a": [1, "x"]}},
    {"type": "integer", "enum": [1, "x", True, 2.0]},
    {"pattern": "^.{0,12}$"},  # quotes and backslashes are written as JSON wants them
    {"pattern": r"^[^a]{2,6}$"},
    {"pattern": r"^(\d{1,3}|[a-f]+)-x$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"},
    {"type": "array", "items": TRUTH, "minItems": 2, "maxItems": 3},
    {"type": "array", "items": False},
    {"prefixItems": [TRUTH, NULL, {"const": "x"}], "items": False},
    {"properties": {'a"b\\c': TRUTH, "é": NULL, "": NULL}, "required": ["é"], "additionalProperties": False},
    {"properties": {"a": NULL, "ab": NULL}, "additionalProperties": TRUTH, "required": ["a"]},  # no other is named a
    {"allOf": [{"properties": {"a": TRUTH}, "required": ["a"]}, {"properties": {"b": TRUTH}, "required": ["b"]}]},
    {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}, {"$ref": "#/$defs/n"}], "$defs": {"n": NULL}},
    {"oneOf": TAGGED},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"properties": {"n": {"anyOf": [NULL, {"$ref": "#"}]}}},  # recursive
    {"type": "object", "properties": dict.fromkeys("abcdefgh", TRUTH), "required": ["d"]},
]


@pytest.fixture(name="engine")
async def an_engine() -> AsyncIterator[BatchEngine]:
    async with demo_engine(slots=8) as engine:
        yield engine


def asked(engine: BatchEngine, schema: dict[str, Any], seed: int) -> Request:
    written = "<|im_start|>user\nJudge it.<|im_end|>\n<|im_start|>assistant\n"
    return Request(
        id=f"{json.dumps(schema)} {seed}",
        prompt=tuple(engine.tokenizer.tokenize(written, parse_special=True)),
        max_tokens=120,
        parameters=Parameters(max_tokens=120, json_schema=schema, temperature=2, top_k=0, top_p=1, min_p=0),
        seed=seed,
    )


async def test_every_reply_that_ends_is_valid(engine: BatchEngine) -> None:
    cases = [(schema, seed) for schema in SCHEMAS for seed in range(SEEDS)]
    replies = await asyncio.gather(*(engine.generate(asked(engine, schema, seed)) for schema, seed in cases))
    ended = [(schema, r.text) for (schema, _), r in zip(cases, replies, strict=True) if r.finish_reason == "stop"]
    for schema, text in ended:
        format_checker = Draft202012Validator.FORMAT_CHECKER
        Draft202012Validator(schema, format_checker=format_checker).validate(json.loads(text))
    assert len(ended) > 0.8 * len(cases)
    assert {json.dumps(schema) for schema, _ in ended} == {json.dumps(schema) for schema in SCHEMAS}
    assert len({text for _, text in ended}) > 0.3 * len(ended)


VERDICT = {
    "type": "object",
    "properties": {"explanation_of_it": {"enum": ["so", "as it is"]}, "score": {"enum": [1, 2]}},
    "required": ["explanation_of_it", "score"],
}


async def test_forced_tokens_are_what_is_drawn_one_by_one(engine: BatchEngine) -> None:
    """Log-probabilities are asked for: each forced token waits for its row, and the reply is the same."""
    request = asked(engine, VERDICT, 1)
    parameters = request.parameters.model_copy(update={"temperature": 0.0})
    before = engine.stats()
    chunked = await engine.generate(replace(request, parameters=parameters))
    after = engine.stats()
    single = await engine.generate(replace(request, parameters=parameters.model_copy(update={"top_logprobs": 2})))
    assert (chunked.token_ids, chunked.finish_reason) == (single.token_ids, "stop")
    assert [entry.token for entry in single.logprobs] == list(single.token_ids)
    Draft202012Validator(VERDICT).validate(json.loads(chunked.text))
    forced = after.forced_tokens - before.forced_tokens
    assert forced > len(chunked.token_ids) / 3
    assert after.steps - before.steps <= 1 + len(chunked.token_ids) - forced  # the prompt, and one for each drawn token
    assert engine.stats().forced_tokens == after.forced_tokens


PENALTIES: list[dict[str, float]] = [
    {"repeat_penalty": 1.4},
    {"presence_penalty": 2.0, "frequency_penalty": 1.0},
    {"dry_multiplier": 2.0, "dry_allowed_length": 1, "dry_base": 2.0},
]


@pytest.mark.parametrize("penalties", PENALTIES)
async def test_forced_tokens_are_penalised_like_drawn_ones(engine: BatchEngine, penalties: dict[str, float]) -> None:
    """In a chunk or one by one: what comes after them depends on them alike, whatever the seed."""
    schema = {**VERDICT, "properties": {**VERDICT["properties"], "score": {"type": "string", "maxLength": 12}}}
    requests = [asked(engine, schema, seed) for seed in range(SEEDS)]
    chunked, single = (
        await asyncio.gather(
            *(
                engine.generate(
                    replace(request, parameters=request.parameters.model_copy(update=penalties | {"top_logprobs": top}))
                )
                for request in requests
            )
        )
        for top in (0, 1)
    )
    assert [reply.token_ids for reply in chunked] == [reply.token_ids for reply in single]
    plain = await asyncio.gather(*(engine.generate(request) for request in requests))
    assert [reply.token_ids for reply in plain] != [reply.token_ids for reply in chunked], "penalties change something"


async def test_a_token_that_was_forced_counts_as_said(engine: BatchEngine) -> None:
    """By likelihood alone the forced letter comes again; a penalty on what is in the reply chooses the other."""
    request = asked(engine, VERDICT, 1)
    forced = request.parameters.model_copy(
        update={"json_schema": None, "grammar": "/(zq){3}(z|j)/", "temperature": 0.0, "repeat_last_n": 8}
    )
    letters = {letter: engine.tokenizer.tokenize(letter)[-1] for letter in "zj"}
    likely = forced.model_copy(update={"logit_bias": {letters["z"]: 5.0, letters["j"]: 0.0}})
    free = await engine.generate(replace(request, parameters=likely))
    penalised = await engine.generate(
        replace(request, parameters=likely.model_copy(update={"presence_penalty": 2.0, "frequency_penalty": 2.0}))
    )
    assert letters["z"] in free.token_ids[:-1], "or this shows nothing"
    assert (free.text, penalised.text) == ("zqzqzqz", "zqzqzqj")


@pytest.mark.parametrize(
    "grammar", ['root ::= ("ab" | "c"){3} " end"', "/((ab|c){3}) end/", 'start: ("ab" | "c"){3} " end"']
)
async def test_grammars_of_every_kind(engine: BatchEngine, grammar: str) -> None:
    request = asked(engine, VERDICT, 3)
    parameters = request.parameters.model_copy(update={"json_schema": None, "grammar": grammar})
    reply = await engine.generate(replace(request, parameters=parameters))
    assert re.fullmatch("(ab|c){3} end", reply.text)
    assert reply.finish_reason == "stop"


async def test_a_limit_in_mid_reply_ends_that_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher, "parser_limits", lambda: LLParserLimits(max_lexer_states=300, verbose_errors=False))
    schema = {"type": "string", "pattern": "^[ab]*a[ab]{12}$"}
    async with demo_engine(slots=2) as engine:
        deep, other = await asyncio.gather(
            *(engine.generate(asked(engine, wanted, 5)) for wanted in (schema, VERDICT)),
        )
        assert deep.finish_reason in ("grammar", "length")
        assert other.finish_reason == "stop"
        many = await asyncio.gather(*(engine.generate(asked(engine, schema, seed)) for seed in range(12)))
        stopped = [reply for reply in many if reply.finish_reason == "grammar"]
        assert stopped
        assert all(set(reply.text) <= {'"', "a", "b"} for reply in stopped)
        engine.check_integrity()


async def test_the_same_seed_gives_the_same_verdict_in_any_company() -> None:
    """Under `reproducible`; forced tokens are decoded as the next prompt computes them again."""
    async with demo_engine(slots=4, reproducible=True) as engine:
        alone = [await engine.generate(asked(engine, VERDICT, seed)) for seed in range(4)]
        together = await asyncio.gather(*(engine.generate(asked(engine, VERDICT, seed)) for seed in range(4)))
    assert [reply.token_ids for reply in alone] == [reply.token_ids for reply in together]
