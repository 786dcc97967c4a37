"""`--system [NAME=]FILE`: what each file is called, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.variants import varied
from nightjar.pipeline.runs.request import EnqueueRequest, make_request
from nightjar.scripts.options.system import read_systems

OWN = Sequence(id="s", system="The suite's.", turns=(TurnSpec(prompt="x"),))


def test_each_file_is_a_variant_called_by_its_name_or_by_yours(tmp_path: Path) -> None:
    """Braces in a file are text, an empty file means no system prompt, and `suite` stands for what the suite has."""
    terse, none, odd = tmp_path / "terse.txt", tmp_path / "none.txt", tmp_path / "a=b!.txt"
    terse.write_text("Be brief, {{name}} and {{system}}.\n", "utf-8")
    none.write_text("\n", "utf-8")
    odd.write_text("Odd.", "utf-8")
    variants = read_systems([str(terse), f"silent={none}", str(odd), "suite"])
    assert [(variant.name, varied(OWN, variant).system) for variant in variants] == [
        ("terse", "Be brief, {{name}} and {{system}}."),
        ("silent", None),
        (variants[2].name, "Odd."),
        ("suite", "The suite's."),
    ]
    assert variants[2].name.startswith("a-b")
    request = make_request(suite="s", models=("m",), variants=variants)
    assert EnqueueRequest(**request.model_dump(mode="json", exclude_defaults=True)) == request  # as a schedule keeps it


def test_what_cannot_be_a_system_prompt_is_named(tmp_path: Path) -> None:
    text, binary = tmp_path / "a.txt", tmp_path / "b.txt"
    text.write_text("x", "utf-8")
    binary.write_bytes(b"\xff\xfe\x00")
    for given, said in (
        ([str(text), str(text)], "Two system prompts are called 'a'"),
        ([f"no name={text}"], "'no name' is no name"),
        ([str(tmp_path / "gone.txt")], "gone.txt: the system prompt cannot be read: No such file"),
        ([str(binary)], "it is not UTF-8"),
    ):
        with pytest.raises(UsageError, match=said.replace("(", r"\(")):
            read_systems(given)
