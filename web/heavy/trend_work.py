"""Of the child processes' work: the nights of a suite."""

from __future__ import annotations

from nightjar.config.errors import UsageError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.mongo import Database, utc_now
from nightjar.pipeline.nights.night_store import read_nights
from nightjar.pipeline.report.data.trend import Trend, trend
from nightjar.pipeline.report.page.trend_page import render_trend, render_trend_json

NIGHTS = 60


async def write_trend_page(database: Database, suite: str) -> str:
    """The nights of a suite, as one page of its own. Raises UsageError where none has ended."""
    return render_trend(await _trend(database, suite))


async def write_trend_json(database: Database, suite: str) -> str:
    """The same as `nightjar trend --format json` writes it."""
    return render_trend_json(await _trend(database, suite))


async def _trend(database: Database, suite: str) -> Trend:
    nights = await read_nights(suite, NIGHTS, database)
    if not nights:
        raise UsageError(f"No run of suite {suite!r} has finished yet.")
    return trend(suite, nights, now=utc_now(), version=NIGHTJAR_VERSION)
