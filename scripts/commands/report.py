"""`nightjar report`: write the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from datetime import datetime

    from nightjar.pipeline.exports.file import ExportOptions
    from nightjar.pipeline.report.data.run_report import RunReport

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name or id of the run; a partial report of a running one is fine.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="Reports: html, json, csv, md. For other tools: inspect, mt-bench, parquet, junit, lm-eval, sft, dpo. "
            "May be given several times, or as html,csv.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to, or - for standard output. Default: the reports folder.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="html: the model that results by tag are compared with. Default: the first."
        ),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(help="METRIC:X, what a reply must reach to pass in junit and to be taken by sft; repeatable."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="dpo: by how much the chosen reply is better. Default: a quarter of the scale.")
    ] = None,
    judging: Annotated[
        int | None,
        typer.Option(min=1, help="By this judging, not by the one that counts; `run show` lists them."),
    ] = None,
    failing: Annotated[
        list[str] | None,
        typer.Option(
            "--failing",
            metavar="KIND",
            help="junit: what counts as a failure: gates, checks, replies (empty, degenerate, the one before again), "
            "missing; repeatable. Default: all.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run and print its path. Example: nightjar report nightly-2026-11-20 -f html -f csv"""
    from nightjar.pipeline.exports.file import ExportOptions
    from nightjar.scripts.session import run_async

    options = ExportOptions.read(at_least or [], margin, failing or [])
    run_async(_report(run, formats or ["html"], out, options, reference, judging=judging, as_json=as_json))


async def _report(
    name: str,
    formats: list[str],
    out: Path | None,
    options: ExportOptions,
    reference: str | None,
    *,
    judging: int | None,
    as_json: bool,
) -> None:
    import asyncio
    from dataclasses import replace

    from nightjar.config.errors import UsageError
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.collect.collector import collect
    from nightjar.pipeline.compare.baseline import since_baseline
    from nightjar.pipeline.exports.write import check_formats, export_paths, not_written, write_exports
    from nightjar.pipeline.report.data.gaps import find_reference
    from nightjar.pipeline.report.formats.files import STANDARD_OUTPUT, check_folder
    from nightjar.scripts.session import open_session

    chosen = check_formats(formats)
    piped = out is not None and str(out) == STANDARD_OUTPUT
    if piped and (as_json or len(chosen) > 1):
        raise UsageError("--out - writes one document to standard output: give one --format, and no --json.")
    async with open_session(reading=True) as session:
        folder = out or session.settings.reports_dir
        if not piped:
            check_folder(folder)
        run = await find_run(name, session.database)
        collected = await collect(run.id, session.database, judging=judging)
        collected = await since_baseline(collected, run, session.database)
    if reference is not None:
        find_reference(collected, reference)
        collected = replace(collected, reference=reference)
    if piped:
        _pipe(collected, chosen[0], options)
        return
    if run.transcripts_dropped_at is not None:
        paths = await asyncio.to_thread(export_paths, collected, chosen, folder, options)
        _keep_what_is_there(run.name, run.transcripts_dropped_at, paths)
    left_out: dict[str, UsageError] = {}
    paths = await asyncio.to_thread(write_exports, collected, chosen, folder, options, left_out=left_out.__setitem__)
    if paths:
        _show(collected, paths, as_json=as_json)
    if left_out:
        raise UsageError(not_written(left_out))


def _pipe(report: RunReport, form: str, options: ExportOptions) -> None:
    """Raises UsageError for a format that cannot be made of this run, or has several files."""
    import sys

    from nightjar.pipeline.exports.write import one_document

    sys.stdout.flush()
    for piece in one_document(report, form, options):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _keep_what_is_there(name: str, dropped_at: datetime, paths: list[Path]) -> None:
    """Raises UsageError where a report with transcripts would be overwritten by one that can have none any more."""
    from nightjar.config.errors import UsageError

    there = [str(path) for path in paths if path.exists() and path.stat().st_mtime < dropped_at.timestamp()]
    if there:
        raise UsageError(
            f"The transcripts of run {name!r} were dropped on {dropped_at:%Y-%m-%d}. Its report from before, "
            f"{', '.join(there)}, would be replaced by one without them. Give another folder: --out."
        )


def _show(report: RunReport, paths: list[Path], *, as_json: bool) -> None:
    from nightjar.pipeline.report.data.answer import answer
    from nightjar.scripts.views.gates import report_row
    from nightjar.scripts.views.output import emit_json, plain

    if as_json:
        emit_json(report_row(report, paths))
        return
    for notice in report.notices:
        print(plain(f"{notice.level}: {notice.text}"))
    print(plain(answer(report)))
    for path in paths:
        print(plain(str(path)))
