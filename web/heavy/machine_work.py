"""Of the child processes' work, what concerns machines: drawing how they stood."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from nightjar.jobs.machines.machine_readings import read_readings, this_minute
from nightjar.jobs.mongo import Database
from nightjar.pipeline.report.page.html import drawing
from nightjar.web.heavy.machine_charts import machine_charts


async def write_machine_charts(database: Database, hours: str) -> str:
    """Charts of the last hours, drawn, as JSON."""
    span = timedelta(hours=int(hours))
    readings = await read_readings(span, database)
    made = machine_charts(readings, now=await this_minute(database), span=span)
    drawn = await asyncio.to_thread(lambda: [drawing(chart) for chart in made])
    return json.dumps(
        [
            {
                "id": each.chart.id,
                "title": each.chart.title,
                "note": each.chart.note,
                "alternative": each.chart.alternative,
                "series": each.chart.series,
                "columns": each.chart.columns,
                "rows": each.chart.rows,
                "svg": each.svg,
            }
            for each in drawn
        ]
    )
