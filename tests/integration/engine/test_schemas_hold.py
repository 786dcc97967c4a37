"""Texts drawn by chance under a schema are valid by the schema itself, whatever it is; and hostile ones are stopped."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.held import TRIAL_CPU_S, TRIAL_MEMORY_BYTES, held_to, known_grammar
from tests.grammar_texts import written
from tests.hostile_grammars import ACCEPTED as UNREFUSED
from tests.hostile_grammars import GRAMMARS
from tests.hostile_grammars import SCHEMAS as HOSTILE_SCHEMAS
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


def test_hostile_ones_are_refused_at_their_place_or_held_within_a_second_and_200_mb() -> None:
    """By what the process that reads and tries them uses, measured in a process of their own."""
    run = subprocess.run([sys.executable, "-P", "-m", "tests.hostile_grammars"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    for (asked, wanted), (said, cpu_s, mb) in zip([*GRAMMARS, *HOSTILE_SCHEMAS], rows, strict=True):
        shown = f"{str(asked)[:60]!r}: {said[:300]!r}, {cpu_s:.2f} s, {mb:.0f} MB"
        assert re.search(wanted, said) if wanted else said == UNREFUSED, shown
        assert cpu_s < TRIAL_CPU_S + 0.5, shown  # with what it took to be asked, and to be ended
        assert mb * 2**20 <= TRIAL_MEMORY_BYTES, shown
        assert not said or re.match("Parameter '(grammar|json_schema)' cannot be (used|enforced): .", said), shown
    assert max(mb for *_, mb in rows) > 50, "none came near the limit"


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
