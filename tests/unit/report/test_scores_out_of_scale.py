"""A scorer of the user's that gives values out of its scale, or past all counting: no report ends by it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from nightjar.config.errors import SettingsError
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.compare.comparison import Side, compare_sides
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.night import night_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import LARGEST, Direction, Scale, Score
from nightjar.pipeline.scoring.plugins import ScorerSource, UserScorers, load_user_scorers
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer
from tests import factories

SHARE = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER)
"""With ends and without limits, as a user writes it first."""
FAULTS = Scale(worst=10.0, best=0.0, direction=Direction.LOWER)
MEASURE = Scale(worst=None, best=None, direction=Direction.NONE)
ABOVE = Scale(worst=0.0, best=None, direction=Direction.HIGHER)


def own(function: Callable[[Context], float], scale: Scale) -> UserScorers:
    made = FunctionScorer(name="mine", scale=scale, function=lambda context: Score(value=function(context)))
    return load_user_scorers([ScorerSource(origin="mine:it", module="mine", version="1", load=lambda: made)])


def report_of(scorers: UserScorers, models: tuple[str, ...] = ("a", "b")) -> RunReport:
    """Two models on twelve sequences of two turns."""
    about = [
        Sequence.model_validate({"id": f"s{number}", "turns": [{"prompt": f"p{number}"}, {"prompt": "go on"}]})
        for number in range(12)
    ]
    jobs = [
        factories.row(sequence, [f"{model} {at:02d}", f"{model} {at:02d} again"], model=model, own=scorers)
        for model in models
        for at, sequence in enumerate(about)
    ]
    return factories.report_of(jobs, about, own=scorers)


@pytest.mark.parametrize(
    ("value", "scale", "told"),
    [
        (2.0, SHARE, "outside its scale (0 to 1)"),
        (-0.5, SHARE, "outside its scale (0 to 1)"),
        (11.0, FAULTS, "outside its scale (0 to 10)"),
        (1e308, SHARE, "outside its scale (0 to 1)"),
        (1e308, MEASURE, "outside its scale"),
        (-1e308, MEASURE, "outside its scale"),
        (-1.0, ABOVE, "outside its scale"),
        (math.inf, MEASURE, "not a finite number"),
        (-math.inf, ABOVE, "not a finite number"),
        (math.nan, SHARE, "not a finite number"),
        (10**400, MEASURE, "too large"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_reason(value: float, scale: Scale, told: str) -> None:
    """On one reply in three, so that the others have numbers: the report is whole in every format."""
    made = report_of(own(lambda context: value if int(context.reply[2:4]) % 3 == 1 else 1.0, scale))
    for model in made.models:
        metric = model.total.metrics["mine"]
        assert (metric.failed, metric.values, metric.mean) == (8, 16, 1.0)
    refused = made.jobs[1].turns[0].scores["mine"]
    assert (refused.value, told in (refused.reason or "")) == (None, True)
    assert_whole(made)


@pytest.mark.parametrize("scale", [MEASURE, ABOVE, Scale(worst=-LARGEST, best=LARGEST, direction=Direction.HIGHER)])
def test_the_largest_value_that_is_taken_can_be_counted(scale: Scale) -> None:
    """Means, spreads, intervals, tests and pages of values up to the limit, of both signs where there is no floor."""
    signs = (1, 1) if scale.worst == 0 else (1, -1)
    made = report_of(own(lambda context: signs[context.turn % 2] * LARGEST if "7" in context.reply else 1e-300, scale))
    metric = made.models[0].total.metrics["mine"]
    assert (metric.failed, metric.values) == (0, 24)
    assert_whole(made)


def assert_whole(made: RunReport) -> None:
    assert all("mine" in render(made, form) for form in ("html", "json", "csv"))
    assert render(made, "md")
    json.loads(render(made, "json"))
    assert answer(made)
    assert night_of(unpack(pack(made))).models
    one, two = (Side(report=made, model=model) for model in made.models)
    assert compare_sides(one, two).other is two


def test_dust_at_an_end_is_that_end() -> None:
    """A mean of thirds may come out a little above 1: rounding is no fault of the scorer's."""
    made = report_of(own(lambda _: 1.0000000000000002, SHARE))
    assert {turn.scores["mine"].value for job in made.jobs for turn in job.turns} == {1.0}


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (Scale(worst=1.0, best=1.0, direction=Direction.HIGHER), "worst and best are the same"),
        (Scale(worst=1.0, best=0.0, direction=Direction.HIGHER), "worst is above best"),
        (Scale(worst=0.0, best=1.0, direction=Direction.LOWER), "worst is below best"),
        (Scale(worst=0.0, best=math.inf, direction=Direction.HIGHER), "best is inf"),
        (Scale(worst=0.0, best=1e308, direction=Direction.HIGHER), "best is 1e+308"),
        (Scale(worst=None, best=None, direction=Direction.NONE, least=math.nan), "least is nan"),
        (Scale(worst=None, best=None, direction=Direction.NONE, least=1.0, most=0.0), "least is above most"),
        (Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, least=2.0), "no value lies within"),
    ],
)
def test_a_scale_that_holds_no_values_is_refused_at_start(scale: Scale, told: str) -> None:
    """Before anything is generated, by the scorer's name."""
    with pytest.raises(SettingsError, match="mine:it") as caught:
        own(lambda _: 0.0, scale)
    assert told in str(caught.value)
