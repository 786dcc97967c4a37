"""What the service's routes make of requests and replies."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.web.service.prompts import arguments_schema, summary_prompt, whole_sentences

CITY: dict[str, Any] = {"city": {"type": "string"}}
OBJECT = {"type": "object", "properties": CITY}


@pytest.mark.parametrize(
    ("function", "schema"),
    [
        ({"name": "f", "description": "d", "parameters": {"type": "object", "properties": CITY}}, OBJECT),
        ({"name": "f", "parameters": {"properties": CITY}}, OBJECT),
        ({"properties": CITY}, OBJECT),
        ({"properties": {"parameters": {"type": "string"}}, "required": ["parameters"]}, None),
        ({"type": "object", "properties": CITY, "strict": True}, OBJECT),
    ],
)
def test_the_schema_of_arguments(function: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """`properties` without a type are an object's; a property called `parameters` is one."""
    assert arguments_schema(function) == (schema or {"type": "object", **function})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two! Thr", "One. Two!"),
        ('He said "no." Then he', 'He said "no."'),
        ("version 1.2 is", "version 1.2 is"),
        ("没有。然后", "没有。然后"),
        ("", ""),
    ],
)
def test_a_text_that_was_cut_off_ends_with_a_sentence(text: str, kept: str) -> None:
    assert whole_sentences(text) == kept


def test_a_summary_is_asked_for_in_fewer_words_than_it_may_have_tokens() -> None:
    assert "at most 60 words" in summary_prompt("x", 100)
