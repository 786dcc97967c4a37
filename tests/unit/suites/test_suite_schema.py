"""The published JSON Schema is in step with the reader, and the suites that come with Nightjar keep to it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nightjar.pipeline.suites.catalogue import bundled
from nightjar.pipeline.suites.native_file import published_schema
from nightjar.pipeline.suites.read import read_suite

PUBLISHED = Path(__file__).parents[3] / "docs" / "suite.schema.json"


def test_the_published_schema_is_the_readers_own() -> None:
    """When this fails: nightjar suite schema > docs/suite.schema.json"""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == published_schema()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(published_schema())


@pytest.mark.parametrize("name", sorted(bundled()))
def test_bundled_suites_keep_to_the_schema_and_carry_their_own_name(name: str) -> None:
    file = bundled()[name]
    jsonschema.Draft202012Validator(published_schema()).validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    suite = read_suite(file)
    assert (suite.name, suite.licence) == (name, "MIT")


def test_the_examples_of_the_documentation_are_suites(tmp_path: Path) -> None:
    """The first block is a whole file, the others are parts of one: at the top, sequences, or in a sequence."""
    whole, *parts = re.findall(r"```yaml\n(.*?)```", (PUBLISHED.parent / "suites.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "contract.txt").write_text("Signed by nobody.", encoding="utf-8")
    at_top = [whole + part for part in parts if re.match("[a-z]", part)]
    below = [part if "- id:" in part else f"  - id: x\n{part}" for part in parts if not re.match("[a-z]", part)]
    texts = [whole, *at_top, *(f"nightjar: 1\nsequences:\n{part}" for part in below)]
    assert (len(at_top), len(below)) == (3, 2)
    for text in texts:
        (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
        assert read_suite(tmp_path / "suite.yaml").sequences


@pytest.mark.parametrize(
    "change",
    [
        {"sequences": []},
        {"mode": "chats"},
        {"parameters": {"temprature": 1}},
        {"parameters": {"max_tokens": 0}},
        {"sequences": [{"id": "a", "turns": [""]}]},
        {"sequences": [{"id": "a", "turns": [{"prompt": "x", "expect": [{"regx": "a"}]}]}]},
        {"sequences": [{"id": "a:b", "turns": ["x"]}]},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    suite = {"nightjar": 1, "sequences": [{"id": "a", "turns": ["x"]}]}
    validator = jsonschema.Draft202012Validator(published_schema())
    validator.validate(suite)
    assert not validator.is_valid(suite | change)


def test_the_sample_stories_have_three_turns_and_check_their_hero() -> None:
    suite = read_suite(bundled()["story-starters"])
    assert len(suite.sequences) >= 5
    for sequence in suite.sequences:
        assert len(sequence.turns) == 3
        heroes = [{text for e in t.expect if e.check == "includes" for text in _texts(e.value)} for t in sequence.turns]
        hero = set.intersection(*heroes)
        assert hero, sequence.id
        assert hero.pop() in sequence.turns[0].prompt


def test_every_checkable_sequence_has_a_check() -> None:
    for sequence in read_suite(bundled()["checkable"]).sequences:
        assert all(turn.expect for turn in sequence.turns), sequence.id


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
