"""Renders a report and writes its files: all of them or none, never half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from config.errors import OutputError, UsageError, suggest
from pipeline.exports.file import ExportOptions
from pipeline.exports.formats import BUILDERS, export
from pipeline.report.data import RunReport
from pipeline.report.safe import slug

Format = Literal["html", "json", "csv", "md"]
FORMATS: tuple[str, ...] = (*get_args(Format), *BUILDERS)
"""Reports first, then what `pipeline.exports` makes for other tools."""
File = tuple[str, Iterable[str | bytes]]
"""A path below the reports folder, and what is in the file."""


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, each once, "html,csv" taken apart. Raises UsageError with the nearest known one."""
    chosen = [part.strip().lower() for given in formats for part in given.split(",")]
    for form in chosen:
        if form not in FORMATS:
            raise UsageError(f"There is no report format {form!r}. {suggest(form, FORMATS, 'format')}")
    return list(dict.fromkeys(chosen))


def check_folder(folder: Path) -> None:
    """Raises OutputError when reports cannot be written to the folder; makes it where it is missing."""
    probe = folder / f".nightjar-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def render(report: RunReport, form: str) -> str:
    """The whole report in one of the formats html, json, csv and md."""
    return "".join(_pieces(report, form))


def write(report: RunReport, formats: Sequence[str], folder: Path, options: ExportOptions | None = None) -> list[Path]:
    """Writes `<run>.<format>` for every report and the files of every export; the paths, in that order.

    Raises OutputError when the folder cannot be made or written or the disk is full, UsageError for an export that
    cannot be made of this run; then no file has changed.
    """
    stem = slug(report.provenance.name, report.provenance.id)
    chosen = check_formats(formats)
    made = (file for form in chosen for file in _files(report, form, stem, options or ExportOptions()))
    return write_files(made, folder)


def write_files(files: Iterable[File], folder: Path) -> list[Path]:
    """Writes files below a folder; their paths, in that order. Raises OutputError; then no file has changed."""
    paths: list[Path] = []
    drafts: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, pieces in files:
            paths.append(folder / name)
            drafts.append(folder / f".{paths[-1].name}.{secrets.token_hex(4)}")
            _fill(drafts[-1], pieces)
        for draft, path in zip(drafts, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(path)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return paths


def _files(report: RunReport, form: str, stem: str, options: ExportOptions) -> Iterator[File]:
    """The files of one format: paths below the reports folder, and what is in them."""
    if form in BUILDERS:
        for file in export(report, form, stem, options):
            yield file.path, file.pieces
    else:
        yield f"{stem}.{form}", _pieces(report, form)


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The report cannot be written to {folder}: {error.strerror or error}. "
        "Give another folder with --out DIR, or make room there; nothing was changed."
    )


def _pieces(report: RunReport, form: str) -> Iterator[str]:
    from pipeline.report.csv_ import render_csv
    from pipeline.report.html import render_html
    from pipeline.report.json_ import render_json
    from pipeline.report.markdown import render_markdown

    renderers = {"html": render_html, "json": render_json, "csv": render_csv, "md": render_markdown}
    return renderers[form](report)


def _fill(path: Path, pieces: Iterable[str | bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
