"""The report as Markdown: short, to paste into an issue or a message. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nightjar.config.counting import how_many
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.depths import COLUMNS, depth_rows
from nightjar.pipeline.report.data.fidelity_words import about_words
from nightjar.pipeline.report.data.numbers import metric, metric_title
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import markdown
from nightjar.pipeline.report.data.series import bounds_words
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.report.page.fidelity_tables import TERMINAL_COLUMNS, terminal_rows
from nightjar.pipeline.report.page.judge_tables import judge_markdown


def render_markdown(report: RunReport) -> Iterator[str]:
    """Notices, the models' table, results by tag, failures, provenance."""
    run = report.provenance
    yield f"# {markdown(run.name)}\n\n"
    for notice in report.notices:
        yield f"- **{'Warning' if notice.level == 'warning' else 'Note'}:** {markdown(notice.text)}\n"
    yield "\n" if report.notices else ""
    yield f"{markdown(answer(report))}\n\n"
    columns, rows = summary_rows(report)
    yield from _table(columns, rows)
    yield from _metrics(report)
    yield from _depths(report)
    yield from _tags(report)
    yield from judge_markdown(report)
    yield from _fidelity(report)
    yield from _failures(report)
    yield (
        f"\nSuite {markdown(run.suite_name)} version {run.suite_version} (`{run.suite_digest[:12]}`), "
        f"{how_many(len(report.sequences), 'sequence')}, {how_many(run.repeats, 'repeat')}, seed {run.seed}, "
        f"nightjar {markdown(run.nightjar_version)}, run `{run.id[:12]}`.\n"
    )


def _metrics(report: RunReport) -> Iterator[str]:
    names = report.quality_metrics()
    if not names:
        return
    rows = []
    for model in report.models:
        for name in names:
            value = model.total.metrics.get(name)
            if value is not None:
                of = [metric_title(value), bounds_words(model, name, report.scales[name])]
                rows.append([model.name, name, metric(value, report.scales[name]), ": ".join(filter(None, of))])
    yield "\n## Quality\n\n"
    yield from _table(["model", "metric", "mean>", "of"], rows)


def _depths(report: RunReport) -> Iterator[str]:
    rows = depth_rows(report)
    if rows:
        yield "\n## By length of the context\n\n"
        yield from _table(list(COLUMNS), [list(row) for row in rows])


def _tags(report: RunReport) -> Iterator[str]:
    name = report.headline_of_parts
    if name is None or not report.tags:
        return
    yield f"\n## {markdown(name)} by tag\n\n"
    rows = []
    for tag in report.tags:
        groups = [model.by_tag.get(tag) for model in report.models]
        rows.append(
            [tag, *(metric(group.metrics.get(name) if group else None, report.scales[name]) for group in groups)]
        )
    yield from _table(["tag", *(f"{model.name}>" for model in report.models)], rows)


def _fidelity(report: RunReport) -> Iterator[str]:
    if report.fidelity is None:
        return
    yield f"\n## Fidelity to {markdown(report.fidelity.reference.label)}\n\n"
    yield f"{markdown(about_words(report.fidelity))}\n\n"
    yield from _table(list(TERMINAL_COLUMNS), [list(row) for row in terminal_rows(report.fidelity)])


def _failures(report: RunReport) -> Iterator[str]:
    rows = [
        [model.name, reason, str(count)]
        for model in report.models
        for reason, count in model.total.counts.failures.items()
    ]
    if rows:
        yield "\n## Failures\n\n"
        yield from _table(["model", "reason", "times>"], rows)


def _table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(markdown(column.removesuffix(">")) for column in columns) + " |\n"
    yield "| " + " | ".join("---:" if column.endswith(">") else "---" for column in columns) + " |\n"
    for row in rows:
        yield "| " + " | ".join(markdown(cell) for cell in row) + " |\n"
