"""The report as one self-contained HTML file: nothing is fetched, and only the page's own style and script may run."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nightjar.pipeline.report.data import findings
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.extremes import longest, worst
from nightjar.pipeline.report.data.gaps import find_reference, gaps
from nightjar.pipeline.report.data.links import FLAGS, job_anchor, show
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import slug, visible
from nightjar.pipeline.report.page import doubt_tables, machine_tables, result_tables, tables
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.charts import charts
from nightjar.pipeline.report.page.interval_bar import interval_bar
from nightjar.pipeline.report.page.judge_section import judge_section
from nightjar.pipeline.report.page.svg import draw
from nightjar.pipeline.report.page.transcript_views import JobView, choose_transcripts, job_failed, sort_keys, views
from nightjar.pipeline.transcripts import JobRow

TEMPLATES = Path(__file__).parent / "templates"
PAGE_BYTES = 4_900_000
"""A page stays under this, whatever the run's size: long texts are cut, and of very many transcripts some are shown."""
TRANSCRIPT_BYTES = 4_200_000
"""Of it, what transcripts with their long texts cut as short as can be may take; more of them are not shown."""
SPARE = 0.08
"""Of the room for transcripts, what may stay empty while texts are cut."""
TRANSCRIPTS = "\x00transcripts\x00"
"""Where they go in the rest of the page."""


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
    jobs: Sequence[JobView]


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
    reference = find_reference(report, report.reference)
    return (
        template_environment()
        .get_template("report.html")
        .render(
            report=report,
            run=report.provenance,
            style=style,
            script=script,
            style_hash=csp_hash(style),
            script_hash=csp_hash(script),
            answer=answer(report),
            failures=findings.by_subject(findings.failures(report)),
            doubts=findings.by_subject(findings.doubts(report)),
            series=_series(report),
            drawings=[drawing(chart) for chart in charts(report)],
            gaps=gaps(report, reference) if reference is not None else None,
            longest=longest(report),
            worst=worst(report),
            shown=shown,
            judging=judge_section(report, shown),
            bar=lambda model: interval_bar(report, model, _series(report)[model]),
            tables=result_tables,
            doubt=doubt_tables,
            machine=machine_tables,
            transcripts=Markup(TRANSCRIPTS),  # noqa: S704  # a constant
            job_anchor=job_anchor,
            show=show,
            fmt=fmt,
        )
    )


def _transcripts(report: RunReport, jobs: Sequence[JobRow], room: int) -> str:
    """The transcripts of these jobs in about `room` bytes; texts are cut no more than they need to be."""
    fits, aim = None, room
    for _ in range(4):  # sizes are estimated before the texts are in place, and then known
        shown = list(views(report, jobs, aim))
        cut = any(map(_is_cut, shown))
        text = _written(report, shown, cut=cut)
        spare = room - _bytes(text)
        if spare >= 0:
            fits = text
            if not cut or spare < SPARE * room:
                break
        aim += int(spare * (0.9 if spare > 0 else 1.05))
    return fits or text


def _written(report: RunReport, shown: Sequence[JobView], *, cut: bool) -> str:
    return (
        template_environment()
        .get_template("transcripts.html")
        .render(
            report=report,
            run=report.provenance,
            series=_series(report),
            sequences=_sequences(report, shown),
            jobs_shown=len(shown),
            cut=cut,
            json_name=f"{slug(report.provenance.name, report.provenance.id)}.json",
            flags=FLAGS,
            sort_keys=sort_keys(report),
            model_number={model.name: at for at, model in enumerate(report.models)},
            tag_number={tag: at for at, tag in enumerate(report.tags)},
            job_anchor=job_anchor,
            fmt=fmt,
        )
    )


def _is_cut(view: JobView) -> bool:
    return any(clip.left for turn in view.turns for clip in (turn.prompt, turn.reply, turn.reasoning))


def _series(report: RunReport) -> dict[str, int]:
    return {model.name: at % tables.SERIES + 1 for at, model in enumerate(report.models)}


def _sequences(report: RunReport, jobs: Sequence[JobView]) -> list[SequenceView]:
    by_sequence: dict[str, list[JobView]] = {}
    for job in jobs:
        by_sequence.setdefault(job.row.sequence, []).append(job)
    return [
        SequenceView(
            id=f"sequence-{at}",
            name=sequence.id,
            tags=sequence.tags,
            system=sequence.system,
            jobs=by_sequence[sequence.id],
        )
        for at, sequence in enumerate(report.sequences)
        if sequence.id in by_sequence
    ]


def drawing(chart: Chart) -> Drawing:
    """The chart, drawn where it can be."""
    try:
        svg = Markup(draw(chart.spec, chart.id))  # noqa: S704  # the renderer escapes every text
    except Exception:  # whatever the renderer's reason, a report without a drawing is better than none
        svg = None
    return Drawing(chart=chart, svg=svg, table=tables.text_table(f"{chart.id}-data", chart.columns, chart.rows))


@functools.cache
def template_environment() -> Environment:
    """The templates; every text they are given is escaped and made visible."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.tests["failed_job"] = job_failed
    return made


def _finalize(value: Any) -> Any:
    """Every text that the page shows, made visible; the page's own markup passes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def asset(name: str) -> Markup:
    """A file of the page's own: style or script."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  # our own files


def csp_hash(text: str) -> str:
    """What a content security policy calls an inline style or script by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))
