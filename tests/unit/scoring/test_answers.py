"""`choice` and `numeric` read replies as people do."""

from __future__ import annotations

import time

import pytest

from nightjar.pipeline.scoring.choice_reader import chosen_option
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.number_reader import answer_number
from nightjar.pipeline.scoring.scorer import Context, apply
from tests.replies_read_by_people import CHOICES, NUMBERS


@pytest.mark.parametrize(("reply", "option"), CHOICES)
def test_choice_is_read_as_by_a_person(reply: str, option: str | None) -> None:
    assert chosen_option(reply, list("ABCD")) == option


@pytest.mark.parametrize(("reply", "number"), NUMBERS)
def test_number_is_read_as_by_a_person(reply: str, number: float | None) -> None:
    assert answer_number(reply) == (number if number is None else pytest.approx(number))


def test_the_tables_are_long_enough() -> None:
    """Some of each are undecided: a reader that always finds something is wrong."""
    assert len(CHOICES) >= 100
    assert len(NUMBERS) >= 100
    assert all(sum(read is None for _, read in table) >= 10 for table in (CHOICES, NUMBERS))


@pytest.mark.parametrize(
    ("reply", "options", "option"),
    [
        ("The answer is yes", ["yes", "no"], "yes"),
        ("Yes, because it is.", ["yes", "no"], "yes"),
        ("NO.", ["yes", "no"], "no"),
        ("Yes and no.", ["yes", "no"], None),
        ("The statement is false.", ["true", "false"], "false"),
        ("2", ["1", "2", "3"], "2"),
        ("Answer: 12", ["1", "2", "3"], None),  # not the 1 or 2 in it
        ("Ответ: Б", ["А", "Б", "В"], "Б"),  # options may be of any script
        ("答案：乙", ["甲", "乙", "丙"], "乙"),
        ("b", ["a", "b"], "b"),
        ("J", list("ABCDEFGHIJ"), "J"),
    ],
)
def test_other_options(reply: str, options: list[str], option: str | None) -> None:
    assert chosen_option(reply, options) == option


def test_a_score_says_what_was_read() -> None:
    """Undecided is worth as much as wrong, and says so."""

    def scored(check: str, value: object, reply: str) -> tuple[float | None, str | None, str | None]:
        score = apply(expectation_scorer(check, value), Context(prompt="p", reply=reply))
        return score.value, score.answer, score.reason

    assert scored("choice", "B", "$B$") == (1.0, "B", None)
    assert scored("choice", "A", "B, not A") == (0.0, "B", "chose B, wanted A")
    assert scored("choice", "A", "A or B") == (0.0, None, "the reply chooses no one option")
    assert scored("numeric", 0.75, r"\boxed{\frac{3}{4}}, see page 12") == (1.0, "0.75", None)
    assert scored("numeric", 5, "5 or 6") == (0.0, None, "the reply gives no one number")


@pytest.mark.parametrize(
    "hostile",
    [
        "A B " * 50_000,
        "\\boxed{" * 30_000,
        "\\text{" * 30_000,
        "answer is " * 40_000,
        "1," * 100_000,
        "1. a\n" * 50_000,
    ],
)
def test_no_reply_takes_long(hostile: str) -> None:
    """Both readers look at a bounded part of a reply, in time that grows with it: minutes would mean it does not."""
    start = time.process_time()
    chosen_option(hostile, list("ABCD"))
    answer_number(hostile)
    assert time.process_time() - start < 20
