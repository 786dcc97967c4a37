"""The report as one self-contained HTML file: it fetches nothing and runs only its own style and script."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator, Sequence, Set

from jinja2 import Environment
from markupsafe import Markup

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page import tables
from nightjar.pipeline.report.page.build import build_page, build_transcripts
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.charts import charts
from nightjar.pipeline.report.page.environment import TEMPLATES, template_environment
from nightjar.pipeline.report.page.fidelity_section import section_charts
from nightjar.pipeline.report.page.page import Drawing, FidelityPage, Page, TranscriptsPage, TrendPage
from nightjar.pipeline.report.page.svg import draw
from nightjar.pipeline.report.page.transcript_views import JobView, choose_transcripts, views
from nightjar.pipeline.report.page.vega_lite import to_vega_lite
from nightjar.pipeline.transcripts import JobRow

PAGE_BYTES = 4_900_000
"""The largest size of a page: long texts are cut, and if there are very many transcripts, some are left out."""
TRANSCRIPT_BYTES = 4_200_000
"""Of that, the most that transcripts with texts cut to the shortest may take; the rest are left out."""
SPARE = 0.08
"""The share of the room for transcripts that may stay empty although texts are cut."""
TRANSCRIPTS = "\x00transcripts\x00"
"""Placeholder for the transcripts in the rest of the page."""


def render_html(report: RunReport) -> Iterator[str]:
    """The page, in pieces."""
    jobs = choose_transcripts(report, TRANSCRIPT_BYTES)
    before, after = _frame(report, {job.id for job in jobs}).split(TRANSCRIPTS)
    yield before
    yield _transcripts(report, jobs, PAGE_BYTES - _bytes(before) - _bytes(after))
    yield after


def _frame(report: RunReport, shown: Set[str]) -> str:
    """Everything but the transcripts; `shown`: ids of the jobs whose transcripts will be there."""
    style, script = (asset(name) for name in ("report.css", "report.js"))
    page = build_page(
        report,
        shown,
        [drawing(chart) for chart in charts(report)],
        [drawing(chart) for chart in section_charts(report)],
        (style, csp_hash(style)),
        (script, csp_hash(script)),
        Markup(TRANSCRIPTS),  # noqa: S704  # a constant
    )
    return render_template("report.html", page)


def _transcripts(report: RunReport, jobs: Sequence[JobRow], room: int) -> str:
    """The transcripts of these jobs in about `room` bytes; texts are cut no more than necessary."""
    fits, aim = None, room
    for _ in range(4):  # sizes are estimated before the texts are in place, and then known
        shown = list(views(report, jobs, aim))
        cut = any(turn.cut for job in shown for turn in job.turns)
        text = _written(report, shown, cut=cut)
        spare = room - _bytes(text)
        if spare >= 0:
            fits = text
            if not cut or spare < SPARE * room:
                break
        aim += int(spare * (0.9 if spare > 0 else 1.05))
    return fits or text


def _written(report: RunReport, shown: Sequence[JobView], *, cut: bool) -> str:
    return render_template("transcripts.html", build_transcripts(report, shown, cut=cut))


def render_template(name: str, page: Page | TranscriptsPage | TrendPage | FidelityPage) -> str:
    """Renders the template, which gets the page and nothing else."""
    return _environment().get_template(name).render(page=page)


def drawing(chart: Chart) -> Drawing:
    """The chart, drawn if possible."""
    try:
        svg = Markup(draw(to_vega_lite(chart), chart.id))  # noqa: S704  # the renderer escapes every text
    except Exception:  # whatever the cause, a report without a drawing is better than no report
        svg = None
    return Drawing(chart=chart, svg=svg, table=tables.text_table(f"{chart.id}-data", chart.columns, chart.rows))


@functools.cache
def _environment() -> Environment:
    return template_environment(TEMPLATES)


def asset(name: str) -> Markup:
    """The page's style or script."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  # our own files


def csp_hash(text: str) -> str:
    """The hash by which a content security policy allows an inline style or script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))
