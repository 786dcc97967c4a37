"""JSON is read as the json module reads it, with lines; what is not JSON says where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.json_text import parse_json, parse_json_lines

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda k: "\0" not in k), inner),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_reads_what_the_json_module_writes(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_json(text, "f").data == value


def test_lines_are_those_of_fields_and_items() -> None:
    located = parse_json('{\n "a": [\n  1,\n  {"b":\n 2}\n ]\n}', "f")
    assert [located.line(path) for path in (("a",), ("a", 0), ("a", 1), ("a", 1, "b"))] == [2, 3, 4, 4]


def test_lines_of_json_lines_are_the_files_own() -> None:
    located = parse_json_lines('{"a": 1}\r\n\n  \n{"a": 2}\n', "f")
    assert located.data == [{"a": 1}, {"a": 2}]
    assert located.line((1, "a")) == 4


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a": 1,\n "a": 2}', 2, "'a' is given twice"),
        ('{"a": 1,}', 1, "name in double quotes"),
        ("[1,\n2", 2, "',' is missing"),
        ("[1] 2", 1, "follows the end"),
        ("nul", 1, "a value is missing"),
        ("", 1, "a value is missing"),
        ("NaN", 1, "a value is missing"),  # not JSON, though Python's reader takes it
        ("[01]", 1, "',' is missing"),
        ('"\\ud83d"', 1, "surrogate"),
        ('["a\nb"]', 1, "control character"),
        ('{"\\u0000": 1}', 1, "NUL"),
        ("123456789012345678901234567890", 1, "64 bits"),
        ("1e999", 1, "not a number"),
        ("[" * 100_000, 1, "levels deep"),
    ],
)
def test_what_is_refused_says_where(text: str, line: int, message: str) -> None:
    with pytest.raises(SuiteError, match=message) as caught:
        parse_json(text, "prompts.json")
    assert f"prompts.json, line {line}:" in str(caught.value)


def test_a_broken_line_is_named() -> None:
    with pytest.raises(SuiteError, match=r"q\.jsonl, line 3: not JSON"):
        parse_json_lines('{"a": 1}\n{"a": 2}\n{"a": }\n', "q.jsonl")
