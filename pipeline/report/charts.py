"""The charts of a report. Pure."""

from __future__ import annotations

from pipeline.report.chart import Chart
from pipeline.report.data import RunReport
from pipeline.report.quality_charts import distribution, length, quality
from pipeline.report.speed_charts import latency, speed, tradeoff


def charts(report: RunReport) -> tuple[Chart, ...]:
    """The charts this report has data for."""
    made = (
        *(tradeoff(report), quality(report), distribution(report)),
        *(speed(report), latency(report), length(report)),
    )
    return tuple(chart for chart in made if chart is not None)
