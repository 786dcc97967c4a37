"""Writes a report in any format: pages and tables of `pipeline.report`, files of `pipeline.exports`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from nightjar.config.errors import UsageError, suggest
from nightjar.pipeline.exports.file import ExportOptions
from nightjar.pipeline.exports.formats import BUILDERS, export
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.formats.files import File, write_files

_Format = Literal["html", "json", "csv", "md"]
FORMATS: tuple[str, ...] = (*get_args(_Format), *BUILDERS)
"""Reports first, then the exports for other tools."""


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats without repetition, with "html,csv" split. Raises UsageError that suggests the nearest format."""
    chosen = [part.strip().lower() for argument in formats for part in argument.split(",")]
    for form in chosen:
        if form not in FORMATS:
            raise UsageError(f"There is no report format {form!r}. {suggest(form, FORMATS, 'format')}")
    return list(dict.fromkeys(chosen))


def render(report: RunReport, form: str) -> str:
    """The whole report in one of the formats html, json, csv and md."""
    return "".join(_pieces(report, form))


def write_exports(
    report: RunReport,
    formats: Sequence[str],
    folder: Path,
    options: ExportOptions | None = None,
    *,
    left_out: Callable[[str, UsageError], None] | None = None,
) -> list[Path]:
    """Writes `<run>.<format>` for every report and the files of every export; returns the paths in that order.

    A report by another judging than the one that counts is `<run>.judging-N.<format>`, and replaces none.

    `left_out` is called with each export that cannot be made of this run, and the reason; without it UsageError is
    raised. Raises OutputError if the folder cannot be created or written or the disk is full; then no file has changed.
    """
    stem = _stem(report)
    chosen = check_formats(formats)

    def files() -> Iterator[File]:
        for form in chosen:
            try:
                yield from list(_files(report, form, stem, options or ExportOptions()))  # all of its files, or none
            except UsageError as error:
                if left_out is None:
                    raise
                left_out(form, error)

    return write_files(files(), folder)


def export_files(report: RunReport, form: str, options: ExportOptions | None = None) -> Iterator[File]:
    """The files of one format. Raises UsageError for an export that cannot be made of this run."""
    return _files(report, form, _stem(report), options or ExportOptions())


def one_document(report: RunReport, form: str, options: ExportOptions | None = None) -> Iterator[bytes]:
    """The one file of a format, in pieces, for standard output. Raises UsageError for a format of several files."""
    files = list(_files(report, form, _stem(report), options or ExportOptions()))
    if len(files) != 1:
        raise UsageError(
            f"The format {form} has {len(files)} files for run {report.provenance.name!r}, and --out - writes one "
            "document. Give a folder: --out DIR."
        )
    for piece in files[0][1]:
        yield piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace")


def not_written(left_out: Mapping[str, UsageError]) -> str:
    """Which formats were left out, and why."""
    return " ".join(f"Not written: {form}. {error}" for form, error in left_out.items())


def export_paths(
    report: RunReport, formats: Sequence[str], folder: Path, options: ExportOptions | None = None
) -> list[Path]:
    """Where `write_exports` would write. Raises UsageError for an export that cannot be made of this run."""
    files = (_files(report, form, _stem(report), options or ExportOptions()) for form in check_formats(formats))
    return [folder / path for of_format in files for path, _ in of_format]


def _stem(report: RunReport) -> str:
    run = report.provenance
    return slug(run.name, run.id) + (f".judging-{run.judging}" if run.side_judging else "")


def _files(report: RunReport, form: str, stem: str, options: ExportOptions) -> Iterator[File]:
    """The files of one format: paths below the reports folder, with their contents."""
    if form in BUILDERS:
        for file in export(report, form, stem, options):
            yield file.path, file.pieces
    else:
        yield f"{stem}.{form}", _pieces(report, form)


def _pieces(report: RunReport, form: str) -> Iterator[str]:
    from nightjar.pipeline.report.formats.csv_ import render_csv
    from nightjar.pipeline.report.formats.json_ import render_json
    from nightjar.pipeline.report.formats.markdown import render_markdown
    from nightjar.pipeline.report.page.html import render_html

    renderers = {"html": render_html, "json": render_json, "csv": render_csv, "md": render_markdown}
    return renderers[form](report)
