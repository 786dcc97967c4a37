"""The charts of a report. Pure."""

from __future__ import annotations

from pipeline.report.chart import Chart
from pipeline.report.data import RunReport
from pipeline.report.quality_charts import criteria, length, quality, tags
from pipeline.report.speed_charts import latency, speed


def charts(report: RunReport) -> tuple[Chart, ...]:
    """The charts this report has data for."""
    made = (criteria(report), quality(report), tags(report), speed(report), latency(report), length(report))
    return tuple(chart for chart in made if chart is not None)
