"""Texts drawn by chance under a schema are valid by the schema itself, whatever it is; and hostile ones are stopped."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.held import held_to, known_grammar
from tests.grammar_texts import written
from tests.schema_cases import ACCEPTED, SCHEMAS
from tests.schema_lists import OUTSIDE, WITHIN

TEXTS = 6


def check(schema: dict[str, Any], text: str) -> None:
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(json.loads(text))


def test_texts_under_the_accepted_schemas_are_valid() -> None:
    for schema in ACCEPTED:
        grammar = held_to(None, schema)
        assert grammar is not None
        assert known_grammar(None, schema) == grammar
        for seed in range(TEXTS):
            if (text := written(grammar, random.Random(seed))) is not None:
                check(schema, text)


@settings(max_examples=60, deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_whatever_is_accepted_is_enforced(schema: Any, seed: int) -> None:
    whole = {"allOf": [schema], "$defs": {"leaf": {"type": ["null", "boolean"]}}}
    try:
        grammar = held_to(None, whole)
    except ParameterError:
        return
    assert grammar is not None
    chooser = random.Random(seed)
    for _ in range(4):
        if (text := written(grammar, chooser)) is not None:
            check(whole, text)


HOSTILE: list[tuple[str | None, dict[str, Any] | None]] = [
    (None, {"properties": {f"a{n}": {"type": "string"} for n in range(900)}}),
    (None, {"allOf": [{"pattern": f"^.*{letter}.{{20}}$"} for letter in "abc"]}),
    (
        None,
        {"anyOf": [{"properties": {"a": {"pattern": f"^(.*{n}.*){{40}}$"}}, "required": ["a"]} for n in range(400)]},
    ),
    ("root ::= (" + " | ".join(f'"{n}"{{0,2000}}' for n in range(2000)) + "){0,2000}", None),
]


def test_what_would_hang_or_hoard_is_refused_by_the_child_alone() -> None:
    """Within its second of processor time; others go on being accepted."""
    for grammar, schema in HOSTILE:
        began = time.process_time()
        with pytest.raises(ParameterError, match=r"^Parameter '(grammar|json_schema)' cannot be"):
            held_to(grammar, schema)
        assert time.process_time() - began < 1
    assert held_to("/(yes|no)/", None) is not None


def test_what_only_looks_hostile_is_followed_step_by_step() -> None:
    """llguidance holds nested repetitions as such: no step of these needs much."""
    for grammar in ("/(" + "(a?){1000}" * 1000 + "){1000}/", 'root ::= (("a"{0,40}){0,40} "b"){0,2000}'):
        assert (text := written(held_to(grammar, None) or "", random.Random(1))) is not None
        assert set(text) <= {"a", "b"}


def test_the_lists_over_the_kinds_of_the_public_benchmark() -> None:
    """All 150 within the documented subset are accepted, and every text that ends is valid; all 50 outside are refused
    with the place."""
    assert (len(WITHIN), len({json.dumps(schema) for schema in WITHIN})) == (150, 150)
    assert (len(OUTSIDE), len({json.dumps(schema) for schema, _ in OUTSIDE})) == (50, 50)
    ended = 0
    for number, schema in enumerate(WITHIN):
        for seed in range(2):
            text = written(held_to(None, schema) or "", random.Random(2 * number + seed))
            if text is not None:
                check(schema, text)
                ended += 1
    assert ended > 2 * 150 * 0.9
    for schema, pointer in OUTSIDE:
        with pytest.raises(ParameterError) as caught:
            held_to(None, schema)
        assert f"cannot be enforced: {pointer} " in str(caught.value)
