"""Writes a suite's trend: `trend-<suite>.html` and, if asked for, `.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.identity import digest
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.data.trend import Trend
from nightjar.pipeline.report.formats.files import File, write_files
from nightjar.pipeline.report.page.trend_page import render_trend, render_trend_json

FORMATS = ("html", "json")


def check_trend_formats(formats: Sequence[str]) -> list[str]:
    """The formats without repetition, with "html,json" split. Raises UsageError for an unknown one."""
    chosen = [part.strip().lower() for given in formats for part in given.split(",")]
    for form in chosen:
        if form not in FORMATS:
            raise UsageError(f"There is no trend format {form!r}. {suggest(form, FORMATS, 'format')}")
    return list(dict.fromkeys(chosen))


def write_trend(trend: Trend, formats: Sequence[str], folder: Path) -> list[Path]:
    """Writes the files and returns their paths. Nights whose reports are in the folder are linked.

    If it raises OutputError, no file has changed.
    """
    stem = f"trend-{slug(trend.suite, digest('suite', trend.suite))}"
    return write_files((_file(trend, form, stem, folder) for form in formats), folder)


def _file(trend: Trend, form: str, stem: str, folder: Path) -> File:
    if form == "json":
        return f"{stem}.json", [render_trend_json(trend)]
    return f"{stem}.html", [render_trend(trend, {path.name for path in folder.glob("*.html")})]
