"""The check `extract`: what a pattern finds, compared letter by letter."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.pipeline.scoring.extract_check import extract
from nightjar.pipeline.scoring.scorer import Context

READ = [
    # (argument, reply, whether it passes)
    ("42", "42", True),  # without a pattern the whole reply counts
    ("42", "42.", False),
    ({"answer": ["x", "42"]}, "42", True),  # one of several
    ({"answer": "42", "pattern": r"is (\d+)"}, "it is 42, or is 43", True),
    ({"answer": "43", "pattern": r"is (\d+)", "match": -1}, "it is 42, or is 43", True),
    ({"answer": "42", "pattern": r"is (\d+)", "match": 2}, "it is 42", False),  # there is no third
    ({"answer": "none", "pattern": "is (.)", "otherwise": "none"}, "so", True),
    ({"answer": "b", "pattern": "(a)?(b)"}, "b", True),  # the first group that is not empty
    ({"answer": "a b!", "ignore_case": True, "ignore_punctuation": True}, "A B", True),
    ({"answer": "$1,000", "ignore": [",", r"\$"]}, "1000", True),
    ({"answer": "x1", "ignore_digits": True}, "x", True),
]


@pytest.mark.parametrize(("argument", "reply", "passes"), READ)
def test_what_is_found_is_compared(argument: Any, reply: str, passes: bool) -> None:
    assert extract(argument)(Context(prompt="Q", reply=reply)).value == float(passes)


WRONG: list[Any] = [
    None,
    {"answer": []},
    {"answer": "x", "patern": "y"},
    {"answer": "x", "pattern": "("},
    {"answer": "x", "match": "0"},
]


@pytest.mark.parametrize("argument", WRONG)
def test_another_argument_is_refused(argument: Any) -> None:
    with pytest.raises(ValueError, match=r"extract takes|regular expression"):
        extract(argument)


def test_a_pattern_that_takes_too_long_gives_no_score() -> None:
    score = extract({"answer": "x", "pattern": "(a+)+$"})(Context(prompt="Q", reply="a" * 5000 + "b"))
    assert score.value is None or score.value == 0.0
