"""The charts of a report. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.quality_charts import distribution, length, quality_chart
from nightjar.pipeline.report.page.speed_charts import latency, speed, tradeoff


def charts(report: RunReport) -> tuple[Chart, ...]:
    """The charts that the report has data for."""
    made = (
        *(tradeoff(report), quality_chart(report), distribution(report)),
        *(speed(report), latency(report), length(report)),
    )
    return tuple(chart for chart in made if chart is not None)
