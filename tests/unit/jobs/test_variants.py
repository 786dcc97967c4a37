"""Variants: what a contestant is asked otherwise, and what of a sequence stays the same for all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.documents import RunModel
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.variants import Variant, contestant_name, varied
from tests.documents import a_run

STORY = Sequence(
    id="s",
    system="Be kind.",
    turns=(TurnSpec(prompt="Tell a story.", name="first"), TurnSpec(prompt="Go on, {{kind}}.")),
    values={"kind": "{{prompt}}"},
)


def test_what_a_variant_leaves_out_stays() -> None:
    assert varied(STORY, None) is STORY
    assert varied(STORY, Variant(name="plain")) == STORY
    named = varied(STORY, Variant(name="a", system="Be brief."))
    assert (named.system, named.turns) == ("Be brief.", STORY.turns)


def test_an_empty_system_prompt_is_none() -> None:
    assert varied(STORY, Variant(name="bare", system="")).system is None


def test_a_variants_texts_may_name_the_sequences_own_and_its_rows_values() -> None:
    """What is put in is text: braces in a prompt or a value are not read again."""
    asked = varied(STORY, Variant(name="a", system="{{system}} Of a {{kind}}.", prompt=r"{{prompt}} \{{kind}}"))
    assert asked.system == "Be kind. Of a {{prompt}}."
    assert [turn.prompt for turn in asked.turns] == ["Tell a story. {{kind}}", "Go on, {{kind}}. {{kind}}"]
    assert asked.turns[0].name == "first"


@given(st.text(min_size=1), st.text())
def test_a_prompt_that_is_only_the_own_one_changes_nothing(prompt: str, system: str) -> None:
    sequence = Sequence(id="s", turns=(TurnSpec(prompt=prompt),), system=system or None)
    assert varied(sequence, Variant(name="same", prompt="{{prompt}}", system="{{system}}")) == sequence


def test_contestants_are_the_models_with_each_variant() -> None:
    run = a_run(models=[RunModel(name="m"), RunModel(name="n")], variants=[Variant(name="a"), Variant(name="b")])
    assert [contestant.name for contestant in run.contestants] == ["m+a", "m+b", "n+a", "n+b"]
    assert [contestant.name for contestant in a_run().contestants] == ["m"]
    assert contestant_name("m", None) == "m"
    assert run.variant("b") == Variant(name="b")
    assert run.variant(None) is None
