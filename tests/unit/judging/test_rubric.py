"""What a rubric may say, and what is said of one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import UsageError
from pipeline.scoring.rubric import Layout, Scope, read_rubric

PLOT = {"name": "plot", "description": "Things happen.", "scale": {1: "Nothing happens.", 2: "Something happens."}}


def rubric(**changes: Any) -> dict[str, Any]:
    return {"criteria": [PLOT], **changes}


def test_a_small_rubric_has_defaults() -> None:
    """A list of criteria is enough: each reply is judged, one criterion at a time."""
    read = read_rubric(rubric())
    assert (read.scope, read.layout) == (Scope.TURN, Layout.PER_CRITERION)
    assert (read.criteria[0].worst, read.criteria[0].best) == (1, 2)


BROKEN = [
    # nothing to judge by
    ({}, "criteria", "required"),
    ({"criteria": []}, "criteria", "at least 1"),
    # a scale is whole numbers, one after another, each with its text
    (rubric(criteria=[{**PLOT, "scale": {1: "bad", 3: "good"}}]), "criteria.0", "follow one another"),
    (rubric(criteria=[{**PLOT, "scale": {1: "only"}}]), "criteria.0.scale", "at least 2"),
    (rubric(criteria=[{**PLOT, "scale": {"low": "bad", "high": "good"}}]), "criteria.0.scale.low", "integer"),
    (rubric(criteria=[{**PLOT, "scale": {1: "", 2: "good"}}]), "criteria.0.scale.1", "at least 1"),
    (rubric(criteria=[{**PLOT, "scale": dict.fromkeys(range(22), "x")}]), "criteria.0.scale", "at most 21"),
    (rubric(criteria=[{**PLOT, "scale": [1, 5]}]), "criteria.0.scale", "dictionary"),
    # metric names are made of criterion names
    (rubric(criteria=[{**PLOT, "name": "the plot"}]), "criteria.0.name", "pattern"),
    (rubric(criteria=[{**PLOT, "name": "a{{documents.rubric}}"}]), "criteria.0.name", "pattern"),
    (rubric(criteria=[PLOT, PLOT]), "rubric", "a name of its own"),
    # choices and keys that do not exist
    (rubric(scope="sentence"), "scope", "'turn' or 'conversation'"),
    (rubric(layout="one"), "layout", "'per_criterion' or 'all'"),
    (rubric(scale=5), "scale", "not permitted"),
    (rubric(criteria=[{**PLOT, "description": ""}]), "criteria.0.description", "at least 1"),
]


@pytest.mark.parametrize(("data", "field", "why"), BROKEN)
def test_a_broken_rubric_is_refused_with_its_field(data: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_rubric(data, "mine.yaml")
    assert str(refused.value).startswith(f"mine.yaml: {field}: ")
    assert why in str(refused.value)


def test_the_digest_is_of_all_a_judge_sees() -> None:
    """Stored and read again it is the same; any text or choice that is another makes another."""
    read = read_rubric(rubric())
    assert read_rubric(read.model_dump(mode="json")).digest == read.digest
    changed = [
        rubric(instructions="Be strict."),
        rubric(scope="conversation"),
        rubric(layout="all"),
        rubric(criteria=[{**PLOT, "scale": {1: "Nothing happens.", 2: "A lot happens."}}]),
        rubric(criteria=[{**PLOT, "description": "Events."}]),
    ]
    assert len({read.digest, *(read_rubric(each).digest for each in changed)}) == len(changed) + 1
