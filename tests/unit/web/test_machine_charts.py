"""Charts of machines over time: what is missing is a gap, what nobody measured has no chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.jobs.machines.machine_documents import CardReading, MachineReading
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.html import drawing
from nightjar.web.heavy.machine_charts import machine_charts
from nightjar.workers.library.machine import minute_so_far, read_machine

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
GIB = 2**30


def a_reading(minutes_ago: int, host: str = "h", **fields: Any) -> MachineReading:
    at = NOW - timedelta(minutes=minutes_ago)
    made: MachineReading = MachineReading.model_construct(id=f"{host} {at}", host=host, at=at, **{"gpus": [], **fields})
    return made


def card(**fields: Any) -> CardReading:
    return CardReading(index="0", name="A card", **fields)


def charted(*readings: MachineReading, span: timedelta = HOUR) -> dict[str, Chart]:
    return {chart.id: chart for chart in machine_charts(readings, now=NOW, span=span)}


def test_what_is_missing_is_a_gap_and_never_zero() -> None:
    """A point a minute over the whole span; those without a reading have no value."""
    charts = charted(*(a_reading(minutes, memory_used_bytes=4 * GIB) for minutes in (50, 49, 10)))
    assert list(charts) == ["machine-memory"]
    values = [point.y for point in charts["machine-memory"].points]
    assert len(values) == 61
    assert [at for at, value in enumerate(values) if value is not None] == [10, 11, 50]
    assert set(values) == {None, 4.0}
    assert charts["machine-memory"].rows == (("h", "4.0", "4.0", "4.0", "4.0"),)
    svg = drawing(charts["machine-memory"]).svg
    assert svg is not None
    assert svg.count("M") >= 2  # the line begins again after the gap


def test_a_card_that_says_nothing_of_something_has_no_line_there() -> None:
    """Zero is a value: an idle card has one."""
    idle = a_reading(5, gpus=[card(use=0.0, temperature_c=31.0)])
    mute = a_reading(5, host="other", gpus=[card(power_w=70.0)])
    charts = charted(idle, mute)
    assert {name: chart.series for name, chart in charts.items()} == {
        "machine-gpu-use": ("h, GPU 0",),
        "machine-gpu-temperature": ("h, GPU 0",),
        "machine-gpu-power": ("other, GPU 0",),
    }
    assert [point.y for point in charts["machine-gpu-use"].points if point.y is not None] == [0.0]
    assert "between 0 % and 0 %" in charts["machine-gpu-use"].alternative


def test_nothing_known_is_no_chart() -> None:
    assert charted() == {}
    assert charted(a_reading(90, memory_used_bytes=GIB)) == {}  # before the span


@pytest.mark.parametrize(
    ("span", "points"),
    [
        (HOUR, 61),  # a minute each, as they were written
        (timedelta(days=1), 145),  # ten minutes each
        (timedelta(days=7), 145),
    ],
)
def test_long_spans_are_of_means(span: timedelta, points: int) -> None:
    readings = [a_reading(minutes, disk_used_bytes=minutes % 2 * 2 * GIB) for minutes in range(60, 0, -1)]
    chart = charted(*readings, span=span)["machine-disk"]
    assert len(chart.points) == points
    values = [point.y for point in chart.points if isinstance(point.y, float)]
    assert sum(values) / len(values) == pytest.approx(1.0)
    assert chart.rows[0][1:4] == ("0.0", "1.0", "2.0")


def test_a_minute_has_the_means_of_what_moves_quickly() -> None:
    """What a card does not say is not counted as zero."""
    first = {"memory_used_bytes": 1, "gpus": [card(use=0.2, power_w=100.0, temperature_c=40.0).model_dump()]}
    last = {"memory_used_bytes": 3, "gpus": [card(use=0.6, temperature_c=50.0).model_dump()]}
    minute = minute_so_far([first, last])
    assert minute["memory_used_bytes"] == 3
    [gpu] = minute["gpus"]
    assert (gpu["use"], gpu["power_w"], gpu["temperature_c"]) == (pytest.approx(0.4), 100.0, 50.0)


def test_this_machine_has_memory_and_a_disk(tmp_path: Any) -> None:
    fields = read_machine(tmp_path)
    assert 0 < fields["memory_used_bytes"] < fields["memory_bytes"]
    assert 0 < fields["disk_used_bytes"] <= fields["disk_bytes"]
    assert "disk_bytes" not in read_machine(tmp_path / "nowhere")
