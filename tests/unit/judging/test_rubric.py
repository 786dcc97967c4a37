"""What a rubric may say, and what is said of one that is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightjar.config.errors import SuiteError, UsageError
from nightjar.pipeline.judging.rubric import Layout, Method, Scope, read_rubric
from nightjar.pipeline.suites.read import read_suite
from nightjar.scripts.options.rubric import read_rubric_file

PLOT = {"name": "plot", "description": "Things happen.", "scale": {1: "Nothing happens.", 2: "Something happens."}}

WITHOUT_SCALE = {"name": "ending", "description": "It ends well."}


def rubric(**changes: Any) -> dict[str, Any]:
    return {"criteria": [PLOT], **changes}


def test_a_small_rubric_has_defaults() -> None:
    """A list of criteria is enough: each reply is judged, one criterion at a time."""
    read = read_rubric(rubric())
    assert (read.scope, read.layout) == (Scope.TURN, Layout.PER_CRITERION)
    assert (read.criteria[0].worst, read.criteria[0].best) == (1, 2)


def test_a_pairwise_rubric_has_no_scales() -> None:
    read = read_rubric(rubric(criteria=[WITHOUT_SCALE], method="pairwise"))
    assert (read.method, read.criteria[0].scale) == (Method.PAIRWISE, None)
    assert read_rubric(read.model_dump(mode="json")) == read


BROKEN = [
    # nothing to judge by
    ({}, "criteria", "required"),
    ({"criteria": []}, "criteria", "at least 1"),
    # a scale is whole numbers, one after another, each with its text
    (rubric(criteria=[{**PLOT, "scale": {1: "bad", 3: "good"}}]), "criteria.0.scale", "follow one another"),
    (rubric(criteria=[{**PLOT, "scale": {1: "only"}}]), "criteria.0.scale", "at least 2"),
    (rubric(criteria=[{**PLOT, "scale": {"low": "bad", "high": "good"}}]), "criteria.0.scale.low", "integer"),
    (rubric(criteria=[{**PLOT, "scale": {1: "", 2: "good"}}]), "criteria.0.scale.1", "at least 1"),
    (rubric(criteria=[{**PLOT, "scale": dict.fromkeys(range(22), "x")}]), "criteria.0.scale", "at most 21"),
    (rubric(criteria=[{**PLOT, "scale": [1, 5]}]), "criteria.0.scale", "dictionary"),
    # metric names are made of criterion names
    (rubric(criteria=[{**PLOT, "name": "the plot"}]), "criteria.0.name", "pattern"),
    (rubric(criteria=[{**PLOT, "name": "a{{documents.rubric}}"}]), "criteria.0.name", "pattern"),
    (rubric(criteria=[PLOT, PLOT]), "criteria.1.name", "a name of its own"),
    (rubric(criteria=[PLOT, {**PLOT, "name": "Plot"}]), "criteria.1.name", "a name of its own"),
    # anchors that say something, each something else
    (rubric(criteria=[{**PLOT, "scale": {1: "   ", 2: "good"}}]), "criteria.0.scale.1", "at least 1"),
    (rubric(criteria=[{**PLOT, "scale": {1: "good", 2: "Good"}}]), "criteria.0.scale.2", "that of 1"),
    # things that do not go together
    (rubric(criteria=[WITHOUT_SCALE]), "criteria.0.scale", "needs a scale"),
    (rubric(method="pairwise"), "criteria.0.scale", "leave it out"),
    (rubric(criteria=[WITHOUT_SCALE, PLOT], method="pairwise"), "criteria.1.scale", "leave it out"),
    (rubric(scope="conversation", reference="required"), "reference", "belongs to a turn"),
    # choices and keys that do not exist
    (rubric(scope="sentence"), "scope", "'turn' or 'conversation'"),
    (rubric(layout="one"), "layout", "'per_criterion' or 'all'"),
    (rubric(method="elo"), "method", "'points' or 'pairwise'"),
    (rubric(reference="yes"), "reference", "'if_any', 'required' or 'hidden'"),
    (rubric(temperature=-1), "temperature", "greater than or equal to 0"),
    (rubric(temperature=3), "temperature", "less than or equal to 2"),
    (rubric(scale=5), "scale", "not permitted"),
    (rubric(criteria=[{**PLOT, "description": ""}]), "criteria.0.description", "at least 1"),
]


@pytest.mark.parametrize(("data", "field", "why"), BROKEN)
def test_a_broken_rubric_is_refused_with_its_field(data: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_rubric(data, "mine.yaml")
    assert str(refused.value).startswith(f"mine.yaml: {field}: ")
    assert why in str(refused.value)


@pytest.mark.parametrize(("data", "field", "why"), BROKEN)
def test_so_is_one_in_a_file_or_in_a_suite(tmp_path: Path, data: dict[str, Any], field: str, why: str) -> None:
    """What `--rubric` reads names the file; a suite that holds it cannot be read, and says where."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(UsageError, match=re.escape(f"mine.yaml: {field}: ")) as refused:
        read_rubric_file(path)
    assert why in str(refused.value)
    sequences = [{"id": "a", "turns": [{"prompt": "p"}]}]
    path.write_text(
        yaml.safe_dump({"nightjar": 1, "name": "s", "sequences": sequences, "rubric": data}, sort_keys=False)
    )
    with pytest.raises(SuiteError, match=re.escape(field)) as unread:
        read_suite(path)
    assert "mine.yaml" in str(unread.value)
    assert why in str(unread.value)
