"""Replies under a JSON Schema, drawn nearly at random from the bundled model: what ended by itself is valid."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.request import Request
from tests.demo_engine import demo_engine

SEEDS = 12
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
