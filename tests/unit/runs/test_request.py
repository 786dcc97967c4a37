"""Requests: what is refused, and with which option's name; names of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.config.errors import ParameterError, UnknownNameError, UsageError
from nightjar.pipeline.runs.request import expand_name, make_request, readable_name

NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repeats": 0}, "--repeats is 0"),
        ({"repeats": -1}, "--repeats is -1"),
        ({"limit": 0}, "--limit is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**63}, "--seed is"),
        ({"max_tries": 0}, "--max-tries is 0"),
        ({"fail_on_error": 0}, "--fail-on-error is 0"),
        ({"fail_on_error": -0.5}, "--fail-on-error is -0.5"),
        ({"fail_on_error": 1.5}, "whole number of jobs"),
        ({"fail_on_error": float("nan")}, "--fail-on-error is nan"),
        ({"priority": 10**6}, "--priority is 1000000"),
        ({"models": ()}, "--model is (): give one"),
        ({"models": ("",)}, "--model"),
        ({"suite": ""}, "--suite"),
        ({"measures": {"chrv": True}}, "--measure chrv: There is no measure 'chrv' to ask for. Did you mean 'chrf'"),
        ({"measures": {"mattr": {"window": 1}}}, "--measure mattr: mattr: window is a whole number, 2 or more"),
        ({"only": ("",)}, "--only"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_request(**{"suite": "s", "models": ("m",), **options})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"set_parameters": {"top_q": 1}}, ParameterError, "Did you mean 'top_p' or 'top_k'"),
        ({"set_parameters": {"max_tokens": 0}}, ParameterError, "'max_tokens'"),
        ({"set_model_parameters": {"m": {"top_p": 2}}}, ParameterError, "--set m:"),
        ({"set_model_parameters": {"n": {"top_p": 0.5}}}, UnknownNameError, "no model in this run 'n'"),
    ],
)
def test_parameters_are_checked_at_once(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        make_request(suite="s", models=("m",), **options)
    assert said in str(caught.value)


def test_a_request_survives_being_stored_in_a_schedule() -> None:
    request = make_request(
        suite="s",
        models=("m", "n"),
        repeats=3,
        seed=7,
        only=("t",),
        set_parameters={"temperature": 0},
        set_model_parameters={"m": {"top_k": 1}},
        fail_on_error=0.5,
        known_models=("m",),
    )
    assert make_request(**request.model_dump(mode="json", exclude_defaults=True)) == request


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("nightly-{date}", "nightly-2026-11-21"),
        ("{date}", "2026-11-21"),
        ("a.b_c-1", "a.b_c-1"),
        ("n" * 100, "n" * 100),
    ],
)
def test_a_name_may_hold_the_day(template: str, name: str) -> None:
    assert expand_name(template, NOW) == name


@pytest.mark.parametrize(
    "template", ["", "../x", "a/b", "a b", "-x", ".", "{time}", "{date", "é", "n" * 101, "a\n", "a:b"]
)
def test_a_name_that_could_leave_its_folder_is_refused(template: str) -> None:
    with pytest.raises(UsageError):
        expand_name(template, NOW)


@pytest.mark.parametrize(
    ("suite", "name"),
    [("stories", "stories-1121-abcdef"), ("s" * 100, f"{'s' * 35}-1121-abcdef")],
)
def test_a_made_up_name_is_readable_and_allowed(suite: str, name: str) -> None:
    made = readable_name(suite, NOW, "abcdef")
    assert made == name
    assert expand_name(made, NOW) == made
