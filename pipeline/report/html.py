"""The report as one self-contained HTML file: nothing is fetched, and only the page's own style and script may run."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import format as fmt
from pipeline.report import machine_tables, tables
from pipeline.report.answer import answer
from pipeline.report.chart import SERIES, Chart
from pipeline.report.charts import charts
from pipeline.report.data import RunReport
from pipeline.report.judge_section import judge_section
from pipeline.report.safe import visible
from pipeline.report.svg import draw
from pipeline.scoring.scorer import Score
from pipeline.scoring.sheet import metric_of
from pipeline.transcripts import JobRow

TEMPLATES = Path(__file__).parent / "templates"
TRANSCRIPT_CHARS = 24_000_000
"""Room for transcripts in one page; what does not fit is in the JSON and CSV, and the page says so."""
TURN_CHARS = 900
"""About what the page writes around the texts of a turn."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart, drawn; without `svg` where it could not be, its table says the same."""

    chart: Chart
    svg: Markup | None
    table: tables.Table


@dataclass(frozen=True, kw_only=True)
class SequenceView:
    """A sequence with the transcripts shown of it."""

    id: str
    name: str
    tags: Sequence[str]
    system: str | None
    jobs: Sequence[JobRow]


def render_html(report: RunReport) -> Iterator[str]:
    """The page, in pieces."""
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js"))  # noqa: S704  # our own files
    shown = shown_jobs(report)
    yield from (
        _environment()
        .get_template("report.html")
        .generate(
            report=report,
            run=report.provenance,
            style=style,
            script=script,
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
            answer=answer(report),
            series={model.name: at % SERIES + 1 for at, model in enumerate(report.models)},
            drawings=[_drawing(chart) for chart in charts(report)],
            tables=tables,
            machine=machine_tables,
            sequences=_sequences(report, shown),
            jobs_shown=len(shown),
            judging=judge_section(report, {job.id for job in shown}),
            at_worst=lambda name, score: _at_worst(report, name, score),
            fmt=fmt,
        )
    )


def shown_jobs(report: RunReport) -> Sequence[JobRow]:
    """The jobs whose transcripts the page has room for: failed and empty ones first, then in the run's order."""
    if sum(map(_chars, report.jobs)) <= TRANSCRIPT_CHARS:
        return report.jobs
    room = TRANSCRIPT_CHARS
    chosen = set()
    for job in sorted(report.jobs, key=lambda job: not job_failed(job)):
        room -= _chars(job)
        if room < 0:
            break
        chosen.add(job.id)
    return [job for job in report.jobs if job.id in chosen]


def job_failed(job: JobRow) -> bool:
    """A dead or cancelled job, or one with an empty or degenerate reply."""
    return job.reason is not None or any(turn.failure is not None for turn in job.turns)


def _chars(job: JobRow) -> int:
    return sum(len(turn.prompt) + len(turn.reply) + len(turn.reasoning) + TURN_CHARS for turn in job.turns) + TURN_CHARS


def _sequences(report: RunReport, jobs: Sequence[JobRow]) -> list[SequenceView]:
    by_sequence: dict[str, list[JobRow]] = {}
    for job in jobs:
        by_sequence.setdefault(job.sequence, []).append(job)
    return [
        SequenceView(
            id=f"sequence-{at}",
            name=sequence.id,
            tags=sequence.tags,
            system=sequence.system,
            jobs=by_sequence.get(sequence.id, []),
        )
        for at, sequence in enumerate(report.sequences)
    ]


def _drawing(chart: Chart) -> Drawing:
    try:
        svg = Markup(draw(chart.spec, chart.id))  # noqa: S704  # the renderer escapes every text
    except Exception:  # whatever the renderer's reason, a report without a drawing is better than none
        svg = None
    return Drawing(chart=chart, svg=svg, table=tables.text_table(f"{chart.id}-data", chart.columns, chart.rows))


def _at_worst(report: RunReport, name: str, score: Score) -> bool:
    scale = report.scales.get(metric_of(name))
    return scale is not None and scale.worst is not None and score.value == scale.worst


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.tests["failed_job"] = job_failed
    return environment


def _finalize(value: Any) -> Any:
    """Every text that the page shows, made visible; the page's own markup passes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _csp_hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
