"""YAML is read as plain data with lines, and hostile YAML gives an error."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.yaml_text import MAX_ALIASES, parse_yaml, reads_as_text

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(ord('b') + i)}: &{chr(ord('b') + i)} [{', '.join(['*' + chr(ord('a') + i)] * 10)}]\n" for i in range(7)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"),  # YAML 1.1 would make it true
        ("no", "no"),
        ("on", "on"),
        ("2026-11-21", "2026-11-21"),  # no dates
        ("1:30", "1:30"),  # no base 60
        ("012", 12),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'7'", "7"),
        ("!!str 7", "7"),
        ('"\\0"', "\0"),
        ("<<", "<<"),  # no merge keys
    ],
)
def test_scalars_follow_the_core_schema(text: str, expected: Any) -> None:
    value = parse_yaml(f"k: {text}", "f").data["k"]
    assert (value, type(value)) == (expected, type(expected))
    if isinstance(expected, str) and text == expected:
        assert reads_as_text(text)


def test_lines_are_those_of_fields_and_items() -> None:
    located = parse_yaml("a:\n  - x\n  -\n    b: 1\n", "f")
    assert located.data == {"a": ["x", {"b": 1}]}
    assert [located.line(path) for path in ((), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"))] == [None, 1, 2, 4, 4]
    assert located.line(("a", 0, "missing")) == 2


def test_an_alias_repeats_what_its_anchor_stands_for() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x\n", "f").data == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2", 2, "'a' is given twice"),
        ("a: [1", None, "not YAML"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("", None, "empty"),
        ("# nothing", None, "empty"),
        ("a: *b", 1, "stands for nothing"),
        ("a: &a [*a]", 1, "stands for nothing"),  # a list within itself
        ("a: 1\nb: !!python/object:os.system x", 2, "not allowed"),
        ("a: !!binary aGk=", 1, "not allowed"),
        ("a:\n  ? [x]\n  : y", 2, "plain text"),  # a list as a field's name
        ("k: 99999999999999999999", 1, "64 bits"),
        ("k: .inf", 1, "not a number"),
        ("k: .nan", 1, "not a number"),
        ("k: \x07", 1, "not YAML"),
        ("a: " + "[" * 60 + "]" * 60, 1, "levels deep"),
        ("[" * 50_000, 1, "levels deep"),
        (LAUGHS, None, "too many aliases"),
        ("a: &x 1\nb: [" + ", ".join(["*x"] * (MAX_ALIASES + 1)) + "]", 2, "too many aliases"),
    ],
)
def test_what_is_refused_says_where(text: str, line: int | None, message: str) -> None:
    with pytest.raises(SuiteError, match=message) as caught:
        parse_yaml(text, "suite.yaml")
    assert str(caught.value).startswith("suite.yaml")
    if line is not None:
        assert f"line {line}:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"p": 1, "q": 3}),  # its own field goes before
        ("a: &x {p: 1}\nb: {q: 3, <<: *x}", {"q": 3, "p": 1}),  # wherever it stands
        ("a: &x {p: 1}\nc: &y {p: 2, q: 2}\nb: {<<: [*x, *y]}", {"p": 1, "q": 2}),  # the first of a list goes before
        ("b: {<<: {p: 1}}", {"p": 1}),
        ("b: {'<<': 5}", {"<<": 5}),  # in quotes it is a name like others
    ],
)
def test_merge_keys(text: str, data: Any) -> None:
    assert parse_yaml(text, "a.yaml").data["b"] == data


def test_a_merge_key_takes_a_mapping() -> None:
    with pytest.raises(SuiteError, match=r"a\.yaml, line 2: `<<` takes a mapping"):
        parse_yaml("a: &x 5\nb: {<<: *x}", "a.yaml")
