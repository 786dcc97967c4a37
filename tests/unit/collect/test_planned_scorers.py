"""The scorers of a run are known from the run and its prompts, without a database."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.collect.planned_scorers import PlannedScorers, asks_phrases
from nightjar.pipeline.scores import PASS
from nightjar.pipeline.scoring.plugins import NO_SCORERS, UserScorers
from nightjar.pipeline.scoring.scorer import FunctionScorer
from tests import factories
from tests.documents import take_judging

ABOUT = Sequence.model_validate(
    {"id": "s", "turns": [{"prompt": "p", "reference": "r", "expect": [{"check": "includes", "value": "fox"}]}]}
)
RUBRIC = {"name": "r", "criteria": [{"name": "plot", "description": "d", "scale": {"1": "bad", "2": "good"}}]}
TONE = UserScorers(scorers=(FunctionScorer(name="tone", scale=PASS, function=lambda _: None),))  # type: ignore[arg-type,return-value]


def planned(own: UserScorers = NO_SCORERS, **changes: Any) -> PlannedScorers:
    """`changes`: of the run or its judging."""
    judging = take_judging(changes)
    run = factories.synthetic_run()[0].model_copy(update={"judging": judging, **changes})
    return PlannedScorers(run, {"s": ABOUT}, own)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        # a rubric alone judges nothing
        ({"rubric": RUBRIC}, set()),
        ({"rubric": RUBRIC, "judges": ["judge"]}, {"judge", "judge.plot"}),
        ({"embed_model": "embedder"}, {"embedding_reference"}),
        # asked for by the run: a measure with a better end, and one without
        ({"measures": {"chrf": True, "mattr": True}}, {"chrf"}),
        ({"own": TONE}, {"tone"}),
    ],
)
def test_the_metrics_that_gates_may_name(changes: dict[str, Any], more: set[str]) -> None:
    assert set(planned(**changes).quality_metrics()) == {"checks", "includes", *more}


def test_each_turn_has_the_names_of_all_its_scorers() -> None:
    """Those of checks and measures, of judges, and of similarities: what a reply without a score is missing."""
    (names,) = planned(TONE, rubric=RUBRIC, judges=["judge"], embed_model="embedder").line_names()["s"]
    assert {"checks", "includes", "words", "tone", "judge", "judge.plot", "embedding_reference"} <= set(names)


@pytest.mark.parametrize(
    ("suites", "runs", "wanted"),
    [
        ([], {}, False),
        ([], {"overused": True}, True),
        ([{"check": "overused", "value": True}], {}, True),
        # the run's own list goes before the suite's
        ([{"check": "overused", "value": True}], {"overused": {"phrases": ["delve"]}}, False),
    ],
)
def test_the_list_of_phrases_is_read_where_a_measure_needs_it(
    suites: list[dict[str, Any]], runs: dict[str, Any], wanted: bool
) -> None:
    about = Sequence.model_validate({"id": "s", "turns": [{"prompt": "p"}], "measures": suites})
    run = factories.synthetic_run()[0].model_copy(update={"measures": runs})
    assert asks_phrases(run, {"s": about}) is wanted
