"""`nightjar eval`: evaluate models on a suite, everything in one terminal."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.errors import UsageError
from nightjar.scripts.evaluation import WorkerFlags
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.load import LoadOptions
from nightjar.scripts.options.run import RunName, RunOptions, request_options
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.gates import report_row, show_results
from nightjar.scripts.views.output import Json, console, emit_json, plain, table
from nightjar.scripts.views.report_link import check_opens, link, open_page
from nightjar.scripts.whole_evaluation import Evaluation, evaluate_whole

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nightjar.jobs.documents import Run
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.pipeline.runs.producer import Enqueued
    from nightjar.scripts.outlook import Phase, RunOutlook
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.progress import EvalProgress
    from nightjar.workers.library.find import ModelEntry

app = typer.Typer(add_completion=False)

Formats = Annotated[
    list[str], typer.Option("--format", "-f", help="html, json, csv, md, or an export (docs/exports.md).")
]


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """What is evaluated, and how somebody at the terminal gets on with it."""

    suite: Annotated[str | None, typer.Option("--suite", "-s", help="A suite's name or file.")] = None
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model's name or GGUF file, alias:NAME or router:NAME; repeatable."),
    ] = None
    suite_format: Annotated[
        str | None, typer.Option(help="native, mt-bench, storybench, inspect, eq-bench or promptfoo.")
    ] = None
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="WHAT=FIELD", help="For rows of any file, as `suite import --map` has it; repeatable."
        ),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking, however long it takes.")] = False
    opens: Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")] = False


@app.command(
    help="Evaluate models on a suite, everything in one terminal. Without --model, says which models are here.\n\n"
    "Example: nightjar eval --suite story-starters --model ~/models/some-model-Q4_K_M.gguf"
)
@takes(EvalOptions, RunOptions, GateOptions, LoadOptions)
def evaluate(
    what: EvalOptions,
    options: RunOptions,
    gates: GateOptions,
    load: LoadOptions,
    name: RunName = None,
    gpu: Annotated[str | None, typer.Option(help="Card UUID or index, none for the CPU; default: all cards.")] = None,
    format_: Formats = ["html"],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder of the report.")] = None,
    as_json: Json = False,
) -> None:
    from nightjar.pipeline.suites.mapped import read_mapping
    from nightjar.scripts.options.gpu import chosen_pins
    from nightjar.scripts.session import run_async

    given = request_options(options, gates, name=name)
    load.changes()  # wrong ones are named now
    chosen_pins(gpu)
    suite, models = _named(what, as_json=as_json)
    evaluation = Evaluation(
        suite=suite,
        models=models,
        judges=list(given.pop("judges", ())),
        embed_model=given.pop("embed_model", None),
        fidelity_to=given.pop("fidelity_to", None),
        suite_format=what.suite_format,
        mapping=read_mapping(what.mapped) if what.mapped else None,
        options=given,
        flags=WorkerFlags(gpu=gpu, load=load),
        formats=format_,
        out=out,
        as_json=as_json,
    )
    run_async(run_evaluation(evaluation, yes=what.yes, opens=what.opens))


def _named(what: EvalOptions, *, as_json: bool) -> tuple[str, list[str]]:
    """Suite and models; of models where none is given, those that are here are offered. Raises UsageError."""
    from nightjar.config.packaged import packaged
    from nightjar.scripts.model_offers import choose_offered

    if what.model and what.suite:
        return what.suite, what.model
    if what.model:
        suites = ", ".join(packaged("suites"))
        raise UsageError(f"--suite is missing: a file, one of `nightjar suite list`, or one of these: {suites}.")
    if as_json:
        raise UsageError("--model is missing: the name of a model, or a GGUF file; `nightjar model list` shows some.")
    return choose_offered(what.suite)


async def run_evaluation(wanted: Evaluation, *, yes: bool = True, opens: bool = False) -> None:
    """From a suite and models to the report's path. Raises any NightjarError.

    Exit code 1 when a job failed, a model could not be served, a gate tripped or a format could not be written. Unless
    `yes`, somebody at the terminal is asked before long work. `opens`: in the browser, at the end.
    """
    from nightjar.pipeline.exports.write import not_written
    from nightjar.scripts.outlook import LONG_S
    from nightjar.scripts.session import open_session

    formats = wanted.check()
    if opens:
        check_opens(formats)
    async with open_session(redis=True, log_file="eval.log") as session:
        later: list[Phase] = []
        asks = not yes

        async def agreeing(enqueued: Enqueued, entries: list[ModelEntry], judges: list[ModelEntry]) -> None:
            nonlocal asks
            outlook = await _say_how_long(enqueued, entries, judges, wanted, session, yes=yes)
            if outlook is not None:
                later.extend(outlook.unseen)
                asks = asks and outlook.known_s <= LONG_S  # else it was agreed to already

        def generating(
            run: Run, entries: list[ModelEntry], helpers: list[ModelEntry]
        ) -> Coroutine[Any, Any, dict[str, str]]:
            return generate_shown(
                run, entries, helpers, wanted.flags, session, quiet=wanted.as_json, later=later, asks=asks
            )

        done = await evaluate_whole(
            wanted,
            session,
            formats=formats,
            generating=generating,
            note=lambda notes: _note(notes, as_json=wanted.as_json),
            agreeing=agreeing,
        )
        show(done.run, done.report, done.paths, as_json=wanted.as_json)
        _say_unserved(done.unserved, done.run)
        if done.left_out:
            print(plain(f"nightjar: {not_written(done.left_out)}"), file=sys.stderr)
        if opens:
            open_page(done.paths)
        if done.failed:
            raise SystemExit(1)


async def _say_how_long(
    enqueued: Enqueued,
    entries: list[ModelEntry],
    judges: list[ModelEntry],
    wanted: Evaluation,
    session: Session,
    *,
    yes: bool,
) -> RunOutlook | None:
    """Says what is to be done, and asks about long work. None where nothing was said. May exit."""
    import asyncio

    from nightjar.scripts.outlook import is_agreed, look_ahead

    if wanted.as_json:
        return None
    outlook = await look_ahead(enqueued.run, entries, judges, wanted.flags, session)
    console(stderr=True).print(plain(outlook.sentence(enqueued.run.embed_model)))
    try:
        agreed = yes or await is_agreed(outlook)
    except asyncio.CancelledError:
        print(file=sys.stderr)
        await _not_begun(enqueued, session)
        raise
    if not agreed:
        await _not_begun(enqueued, session)
        raise SystemExit(1)
    return outlook


async def _not_begun(enqueued: Enqueued, session: Session) -> None:
    """A run that was made for this call goes; one that was there before stays as it was."""
    from nightjar.jobs.runs.control import cancel
    from nightjar.jobs.runs.removal import remove_run

    if enqueued.created:
        await remove_run(await cancel(enqueued.run, session.database), session.database)
        print("Not begun; nothing is left of it.", file=sys.stderr)
        return
    print(plain(f"Not begun. Run {enqueued.run.name} is there as before."), file=sys.stderr)


def _note(notes: Sequence[str], *, as_json: bool) -> None:
    for note in notes:
        console(stderr=as_json).print(plain(f"Note: {note}"), style="yellow")


def _say_unserved(unserved: dict[str, str], run: Run) -> None:
    for model, reason in unserved.items():
        missing = "What it has not generated is missing from the report"
        remedy = f"the same command with --name {run.name} tries it again"
        print(plain(f"nightjar: model {model!r} could not be served: {reason}\n{missing}; {remedy}."), file=sys.stderr)


async def generate_shown(
    run: Run,
    entries: list[ModelEntry],
    judges: list[ModelEntry],
    flags: WorkerFlags,
    session: Session,
    *,
    quiet: bool,
    later: Iterable[Phase] = (),
    asks: bool = False,
) -> dict[str, str]:
    """Generates and judges with progress on a terminal; the models that could not be served, with the reason.

    `later`: the models of which it is said after some turns how long they will take; `asks`: about long work, somebody
    at the terminal is asked then. Exits with 1 where that one wants it to end.
    """
    import asyncio

    from rich.console import Console

    from nightjar.scripts.evaluation import compared_names, generate
    from nightjar.scripts.outlook import LaterOutlook
    from nightjar.scripts.views.progress import ProgressBars, ProgressLines, evaluation_bar

    screen = Console(stderr=True)
    names = [(entry.name, False, entry.name) for entry in entries]
    for judge in judges:
        role = "embed" if judge.name == run.embed_model else "judge"
        names.append((judge.name, True, f"{role} {judge.name}"))
    served = {entry.name for entry in entries}
    names += [(name, True, f"fidelity {name}") for name in compared_names(run, judges) if name in served]
    with evaluation_bar(quiet=quiet or not screen.is_terminal) as bar:
        progress = ProgressBars(bar, names) if screen.is_terminal and not quiet else ProgressLines()
        ends: list[str] = []

        async def ask(said: str) -> None:
            if not await _goes_on(bar, said):
                ends.append(said)
                going.cancel()

        say = partial(_print_above, bar)
        outlook = LaterOutlook(run, later, say, session.database, ask if asks else None)

        def watch(now: EvalProgress) -> None:
            progress.show(now)
            outlook.look(now)

        going = asyncio.ensure_future(generate(run, entries, judges, flags, session, watch))
        try:
            return await going
        except asyncio.CancelledError:
            _say_how_to_go_on(bar, run, judging=not entries)
            if ends:
                raise SystemExit(1) from None
            raise
        finally:
            outlook.close()


async def _goes_on(bar: Bar, said: str) -> bool:
    """Asks about long work that is under way, which goes on meanwhile; without anybody to ask, that it goes on."""
    import asyncio

    from nightjar.scripts.outlook import STOPPING, is_yes
    from nightjar.scripts.views.asking import answer_to, can_ask

    if not can_ask():
        _print_above(bar, f"{said} Nobody is here to be asked: it goes on. {STOPPING}")
        return True
    bar.stop()
    try:
        return is_yes(await answer_to(f"{plain(said)} Go on? [Y/n] "))
    except asyncio.CancelledError:
        print(file=sys.stderr)
        raise
    finally:
        bar.start()


def _print_above(bar: Bar, said: str) -> None:
    bar.console.print(plain(said), highlight=False, markup=False)


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
    from nightjar.scripts.views.report_tables import show_report_tables

    if as_json:
        emit_json(report_row(report, paths))
        return
    results = report.verdict.results if report.verdict is not None else ()
    columns, rows = summary_rows(report)
    console().print(table(None, columns, rows))
    show_report_tables(report)
    console().print(plain(answer(report)))
    for step in advice(report):
        console().print(plain(f"- {step}"))
    show_results(results)
    for path in paths:
        print(f"Report: {link(path)}")
