"""Variables of chat templates among the parameters: given in every layer, merged one by one, checked."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import ParameterError
from nightjar.jobs.assignments import read_assignments
from nightjar.jobs.parameters import ParameterSource, parse_assignment, resolve


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("template.enable_thinking=false", {"enable_thinking": False}),  # JSON
        ("template.reasoning_effort=high", {"reasoning_effort": "high"}),  # no JSON: a text
        ('template.custom_tools=["a"]', {"custom_tools": ["a"]}),
        ('template={"a": 1, "b": 2}', {"a": 1, "b": 2}),  # several at once
    ],
)
def test_an_assignment_gives_variables(text: str, variables: dict[str, Any]) -> None:
    assert parse_assignment(text) == (None, "template", variables)
    assert parse_assignment(f"m:{text}") == ("m", "template", variables)


def test_several_assignments_add_up() -> None:
    everywhere, by_model = read_assignments(["template.a=1", "template.b=2", "m:template.a=4", "m:template.c=5"])
    assert everywhere == {"template": {"a": 1, "b": 2}}
    assert by_model == {"m": {"template": {"a": 4, "c": 5}}}


def test_layers_are_merged_variable_by_variable() -> None:
    resolved = resolve(
        [
            (ParameterSource.REGISTRY, {"template": {"enable_thinking": True, "effort": "low"}}),
            (ParameterSource.SUITE, {"temperature": 0}),
            (ParameterSource.SET, {"template": {"enable_thinking": False}}),
        ]
    )
    assert resolved.values.template == {"enable_thinking": False, "effort": "low"}
    assert resolved.sources["template"] is ParameterSource.SET


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("template.messages=[]", "'messages' is set by Nightjar itself"),
        ("template.bos_token=x", "'bos_token' is set by Nightjar itself"),
        ("template.enable-thinking=false", "'enable-thinking' is no name that a template could read"),
        ("template.=1", "'' is no name that a template could read"),
        ("template=high", "template"),  # no variable named
        ("templates.a=1", "Did you mean 'template'"),
    ],
)
def test_what_cannot_be_a_variable_is_refused(text: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        parse_assignment(text)
