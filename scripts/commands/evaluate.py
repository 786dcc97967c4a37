"""`nightjar eval`: evaluate models on a suite, everything in one terminal."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.scripts.evaluation import WorkerFlags
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.load import LoadOptions
from nightjar.scripts.options.run import RunName, RunOptions, request_options
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.gates import report_row, show_results
from nightjar.scripts.views.output import Json, console, emit_json, plain, table
from nightjar.scripts.whole_evaluation import Evaluation, evaluate_whole

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nightjar.jobs.documents import Run
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

app = typer.Typer(add_completion=False)

SuiteOrFile = Annotated[str, typer.Option("--suite", "-s", help="A suite's name or file.")]
ModelFiles = Annotated[list[str], typer.Option("--model", "-m", help="A model's name or GGUF file; repeatable.")]
Formats = Annotated[
    list[str], typer.Option("--format", "-f", help="html, json, csv, md, or an export (docs/exports.md).")
]


@app.command(
    help="Evaluate models on a suite, everything in one terminal.\n\n"
    "Example: nightjar eval --suite story-starters --model ~/models/some-model-Q4_K_M.gguf"
)
@takes(RunOptions, GateOptions, LoadOptions)
def evaluate(
    suite: SuiteOrFile,
    model: ModelFiles,
    options: RunOptions,
    gates: GateOptions,
    load: LoadOptions,
    suite_format: Annotated[
        str | None, typer.Option(help="native, mt-bench, storybench, inspect, eq-bench or promptfoo.")
    ] = None,
    name: RunName = None,
    gpu: Annotated[str | None, typer.Option(help="Card UUID or index, none for the CPU; default: all cards.")] = None,
    format_: Formats = ["html"],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder of the report.")] = None,
    as_json: Json = False,
) -> None:
    from nightjar.scripts.session import run_async
    from nightjar.workers.process.gpus import choose_pins, list_cards

    given = request_options(options, gates, name=name)
    load.changes()  # wrong ones are named now
    choose_pins(gpu, list_cards())
    evaluation = Evaluation(
        suite=suite,
        models=model,
        judges=list(given.pop("judges", ())),
        embed_model=given.pop("embed_model", None),
        suite_format=suite_format,
        options=given,
        flags=WorkerFlags(gpu=gpu, load=load),
        formats=format_,
        out=out,
        as_json=as_json,
    )
    run_async(run_evaluation(evaluation))


async def run_evaluation(wanted: Evaluation) -> None:
    """From a suite and models to the report's path. Raises any NightjarError.

    Exit code 1 when a job failed, a model could not be served, a gate tripped or a format could not be written.
    """
    from nightjar.pipeline.exports.write import not_written
    from nightjar.scripts.session import open_session

    wanted.check()
    async with open_session(redis=True, log_file="eval.log") as session:

        def generating(
            run: Run, entries: list[ModelEntry], helpers: list[ModelEntry]
        ) -> Coroutine[Any, Any, dict[str, str]]:
            return generate_shown(run, entries, helpers, wanted.flags, session, quiet=wanted.as_json)

        done = await evaluate_whole(
            wanted, session, generating=generating, note=lambda notes: _note(notes, as_json=wanted.as_json)
        )
        show(done.run, done.report, done.paths, as_json=wanted.as_json)
        _say_unserved(done.unserved, done.run)
        if done.left_out:
            print(plain(f"nightjar: {not_written(done.left_out)}"), file=sys.stderr)
        if done.failed:
            raise SystemExit(1)


def _note(notes: Sequence[str], *, as_json: bool) -> None:
    for note in notes:
        console(stderr=as_json).print(plain(f"Note: {note}"), style="yellow")


def _say_unserved(unserved: dict[str, str], run: Run) -> None:
    for model, reason in unserved.items():
        missing = "What it has not generated is missing from the report"
        remedy = f"the same command with --name {run.name} tries it again"
        print(plain(f"nightjar: model {model!r} could not be served: {reason}\n{missing}; {remedy}."), file=sys.stderr)


async def generate_shown(
    run: Run, entries: list[ModelEntry], judges: list[ModelEntry], flags: WorkerFlags, session: Session, *, quiet: bool
) -> dict[str, str]:
    """Generates and judges with progress on a terminal; the models that could not be served, with the reason."""
    import asyncio

    from rich.console import Console

    from nightjar.scripts.evaluation import generate
    from nightjar.scripts.views.progress import ProgressBars, ProgressLines, evaluation_bar

    screen = Console(stderr=True)
    if not quiet and entries:
        screen.print(
            f"Run {plain(run.name)}: {how_many(run.jobs_total, 'conversation')}.", highlight=False, markup=False
        )
    names = [(entry.name, False, entry.name) for entry in entries]
    for judge in judges:
        role = "embed" if judge.name == run.embed_model else "judge"
        names.append((judge.name, True, f"{role} {judge.name}"))
    with evaluation_bar(quiet=quiet or not screen.is_terminal) as bar:
        progress = ProgressBars(bar, names) if screen.is_terminal and not quiet else ProgressLines()
        try:
            return await generate(run, entries, judges, flags, session, progress.show)
        except asyncio.CancelledError:
            _say_how_to_go_on(bar, run, judging=not entries)
            raise


def _say_how_to_go_on(bar: Bar, run: Run, *, judging: bool) -> None:
    bar.stop()
    if judging:
        said = "Stopped. The verdicts so far are kept: the same command goes on, and so do workers of the judges."
        bar.console.print(said, highlight=False, markup=False)
        return
    bar.console.print(
        f"Stopped. What was generated is kept: the same command with --name {plain(run.name)} goes on, "
        f"`nightjar report {plain(run.name)}` shows what there is, `nightjar run cancel {plain(run.name)}` ends it.",
        highlight=False,
        markup=False,
    )


def show(run: Run, report: RunReport, paths: list[Path], *, as_json: bool) -> None:
    """The short table, the report's answer, what to do about an undecided one, and where the report is."""
    from nightjar.pipeline.report.data.advice import advice
    from nightjar.pipeline.report.data.answer import answer
    from nightjar.pipeline.report.formats.summary import summary_rows

    if as_json:
        emit_json(report_row(report, paths))
        return
    results = report.verdict.results if report.verdict is not None else ()
    columns, rows = summary_rows(report)
    console().print(table(None, columns, rows))
    console().print(plain(answer(report)))
    for step in advice(report):
        console().print(plain(f"- {step}"))
    show_results(results)
    for path in paths:
        print(f"Report: {plain(str(path))}")
