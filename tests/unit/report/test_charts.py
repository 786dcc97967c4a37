"""Charts say what they mean, and become specifications that draw it."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, ChartMark, Point
from nightjar.pipeline.report.page.charts import charts
from nightjar.pipeline.report.page.svg import draw
from nightjar.pipeline.report.page.vega_lite import to_vega_lite
from tests import factories


def course(**changes: object) -> Chart:
    points = (Point(series="amber", x=0, y=0.5, low=0.4, high=0.6), Point(series="amber", x=1, y=0.7))
    parts: dict[str, object] = {"marks": (), "series": ("amber",), "ticks": ("01 Jan", "02 Jan")} | changes
    return Chart(
        id="c",
        title="t",
        note="n",
        alternative="a",
        kind=ChartKind.COURSE,
        x=Axis(),
        y=Axis(share=True),
        points=points,
        columns=(),
        rows=(),
        **parts,  # type: ignore[arg-type]
    )


def test_a_report_says_what_each_chart_is() -> None:
    """Kind, series and points; every point belongs to a series."""
    made = {chart.id: chart for chart in charts(factories.synthetic_report())}
    assert {name: chart.kind for name, chart in made.items()} == {
        "tradeoff": ChartKind.SCATTER,
        "quality": ChartKind.DOTS,
        "distribution": ChartKind.HISTOGRAM,
        "speed": ChartKind.BARS,
        "latency": ChartKind.SPANS,
        "length": ChartKind.LINES,
    }
    assert made["latency"].x.label == "seconds"
    for chart in made.values():
        assert chart.points
        assert {point.series for point in chart.points} <= set(chart.series)


def test_a_course_becomes_a_specification() -> None:
    """A band, a line and dots over the nights, in percent, with their names below."""
    spec = to_vega_lite(course())
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line", "point"]
    assert spec["data"]["values"][0] == {"at": 0, "model": "amber", "value": 0.5, "low": 0.4, "high": 0.6}
    encoding = spec["layer"][1]["encoding"]
    assert encoding["y"]["axis"]["format"] == "~%"
    assert "'02 Jan'" in encoding["x"]["axis"]["labelExpr"]
    assert encoding["color"]["scale"] == {"domain": ["amber"], "range": ["var(--s1)"]}


def test_marks_are_lines_with_numbers() -> None:
    layers = to_vega_lite(course(marks=(ChartMark(at=1, number=3),)))["layer"]
    assert [layer["mark"]["type"] for layer in layers[3:]] == ["rule", "text"]
    assert layers[3]["data"]["values"] == [{"at": 1, "number": 3}]


def test_bands_of_many_series_are_left_out() -> None:
    """They would cover one another."""
    layers = to_vega_lite(course(series=("amber", "basil", "cedar")))["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["line", "point"]


def test_labels_of_an_axis_are_its_values() -> None:
    """Half a per cent was labelled 1 %, and one more tick also."""
    points = (Point(series="amber", x=0, y=0.005, low=0.0, high=0.01), Point(series="amber", x=1, y=0.02))
    drawn = draw(to_vega_lite(replace(course(), points=points)), "c")
    labels = re.findall(r"<text[^>]*>([\d.]+)%", drawn)
    assert "0.5" in labels
    steps = [round(float(after) - float(before), 6) for before, after in itertools.pairwise(labels)]
    assert len(set(steps)) == 1, labels
