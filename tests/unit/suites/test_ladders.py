"""Long contexts made by a seed: what is hidden is there once, where it should be, and is what is asked for."""

from __future__ import annotations

import re

import pytest

from nightjar.config.errors import UsageError
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.suites.benchmarks.ladders import CHARS_PER_TOKEN, DEPTHS, LADDERS, ladder, lengths_up_to
from nightjar.pipeline.suites.export import export_yaml


@pytest.mark.parametrize("kind", LADDERS)
def test_a_ladder_has_its_lengths_and_says_the_same_for_the_same_seed(kind: str) -> None:
    suite = ladder(kind, (1024, 4096), each=3, seed=5)

    assert [sequence.id for sequence in suite.sequences] == ["1k-1", "1k-2", "1k-3", "4k-1", "4k-2", "4k-3"]
    for sequence in suite.sequences:
        tokens = 1024 * int(sequence.tags[0].removesuffix("k"))
        assert 0.8 < len(sequence.turns[0].prompt) / CHARS_PER_TOKEN / tokens < 1
    assert suite.digest == ladder(kind, (1024, 4096), each=3, seed=5).digest
    assert suite.digest != ladder(kind, (1024, 4096), each=3, seed=6).digest
    assert "nightjar: 1" in export_yaml(suite)


@pytest.mark.parametrize("number", range(len(DEPTHS)))
def test_a_needle_is_said_once_at_its_depth(number: int) -> None:
    sequence = ladder("needle", (2048,), each=len(DEPTHS), seed=1).sequences[number]
    prompt, needle = sequence.turns[0].prompt, sequence.turns[0].expect[0].value
    text = prompt.split("\n\n")[1]

    assert sequence.tags == ("2k", f"depth {DEPTHS[number]}")
    assert text.count(needle) == 1
    assert abs(text.index(needle) / len(text) * 100 - DEPTHS[number]) < 3
    assert needle not in prompt.split("\n\n")[2]


def test_the_owls_that_are_counted_are_as_many_as_are_right() -> None:
    for sequence in ladder("counting", (1024,), each=6, seed=2).sequences:
        (turn,) = sequence.turns
        assert turn.prompt.count("An owl called") == turn.expect[0].value
        scorer = expectation_scorer("numeric", turn.expect[0].value)
        assert scorer(Context(prompt=turn.prompt, reply=f"{turn.expect[0].value}")).value == 1


def test_the_names_that_stand_for_a_value_follow_from_the_text_alone() -> None:
    """Read back line by line, in the order of the text: each name is set from one that is known by then."""
    for sequence in ladder("variables", (1024,), each=6, seed=3).sequences:
        (turn,) = sequence.turns
        values: dict[str, str] = {}
        for name, given in re.findall(r"(V\d+) is (what V\d+ is|\d+)\.", turn.prompt):
            values[name] = given if given.isdigit() else values[given.split()[1]]
        (asked,) = re.findall(r"stand for (\d+)\?", turn.prompt)
        assert sorted(turn.expect[0].value) == sorted(name for name, value in values.items() if value == asked)


def test_lengths_double_up_to_the_most() -> None:
    assert lengths_up_to(9000) == (1024, 2048, 4096, 8192)
    with pytest.raises(UsageError, match="begins at 1,024"):
        lengths_up_to(512)
    with pytest.raises(UsageError, match="Did you mean"):
        ladder("needel", (1024,), each=1, seed=0)
