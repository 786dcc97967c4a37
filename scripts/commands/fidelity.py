"""`nightjar fidelity`: how far quantisations and other loads of a model are from a reference, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.options.takes import takes
from nightjar.scripts.session import run_async
from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.pipeline.report.data.fidelity import FidelityResult
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.scripts.fidelity import TextSource
    from nightjar.workers.fidelity.conversations import StoredJobs
    from nightjar.workers.fidelity.loads import FidelityLoad

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class FidelityOptions:
    """What is read, how, and where the result goes."""

    text: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A text, or .jsonl with a `text` a line; repeatable."),
    ] = None
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Read this run's own conversations (unless --text); show its checks, speed and memory."
        ),
    ] = None
    window: Annotated[
        int | None, typer.Option(min=16, help="Tokens that are read at a time, of a text. Default: 512.")
    ] = None
    layout: Annotated[
        str, typer.Option("--as", metavar="nightjar|llama-perplexity", help="Which tokens of a text are scored.")
    ] = "nightjar"
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many windows or conversations.")] = None
    apart: Annotated[
        bool, typer.Option("--apart", help="Never load two at once: divergences are estimated through a file.")
    ] = False
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn for estimates.")] = 1
    gpu: Annotated[str | None, typer.Option(help="UUID or index of a card, or `none` for the CPU alone.")] = None
    fail_on_drift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:LIMIT",
            help="Gate: fails when a candidate has more: kld, kld_median, kld_999, changed_top (share), perplexity "
            "(ratio less 1); repeatable.",
        ),
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="An inconclusive gate fails, too.")] = False
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: the reports folder.")] = None


@app.command()
@takes(FidelityOptions)
def fidelity(
    reference_file: Annotated[str, typer.Argument(metavar="REFERENCE", help="What the others are held against.")],
    candidates: Annotated[
        list[str],
        typer.Argument(metavar="CANDIDATE[,KEY=VALUE]...", help="The same model, quantised or loaded otherwise."),
    ],
    options: FidelityOptions,
    as_json: Json = False,
) -> None:
    """Compare quantisations, cache types, adapters: divergence from a reference, with a page.

    A model is a name or a .gguf file, with load settings after commas: m.gguf,cache_type_k=q8_0 or m.gguf,adapter=FILE.

    Example: nightjar fidelity m-f16.gguf m-q8_0.gguf m-q4_k_m.gguf --text wiki.txt --fail-on-drift kld:0.02
    """
    from nightjar.config.errors import UsageError
    from nightjar.scripts.one_prompt import log_to_file, pin

    if not options.text and options.run is None:
        raise UsageError(
            "fidelity needs something to read: --text FILE (WikiText-2 is what most published numbers are measured "
            "on), or --run RUN for the conversations of a run."
        )
    log_to_file("fidelity.log")
    gpu = pin(options.gpu)
    run_async(_fidelity([reference_file, *candidates], options, gpu, as_json=as_json))


async def _fidelity(operands: list[str], options: FidelityOptions, gpu: str | None, *, as_json: bool) -> None:
    import asyncio

    from nightjar.config.settings import load_settings
    from nightjar.jobs.ending import gates_failed
    from nightjar.pipeline.compare.drift import parse_drifts
    from nightjar.pipeline.report.formats.fidelity_write import write_fidelity
    from nightjar.pipeline.report.formats.files import check_folder
    from nightjar.scripts.fidelity import compare_loads, fidelity_result, read_material
    from nightjar.scripts.fidelity_operands import find_loads
    from nightjar.workers.engine.device import this_device
    from nightjar.workers.fidelity.comparison import LoadComparison

    settings = load_settings()
    gates = parse_drifts(options.fail_on_drift or ())
    text = _text_source(options)
    folder = options.out or settings.reports_dir
    check_folder(folder)
    loads = find_loads(operands, settings)
    stored, report = await _of_run(options, loads, settings)
    source = text or stored
    assert source is not None
    material = await asyncio.to_thread(read_material, loads, source)
    comparison = LoadComparison(
        passages=material.passages,
        device=this_device(gpu),
        apart=options.apart,
        seed=options.seed,
        folder=folder,
    )
    compared = await compare_loads(comparison, loads)
    result = await asyncio.to_thread(fidelity_result, compared, material, gates, report, options.seed)
    paths = await asyncio.to_thread(write_fidelity, result, folder)
    _show(result, paths, as_json=as_json)
    if gates_failed(result.gates, strict=options.strict):
        raise typer.Exit(1)


def _text_source(options: FidelityOptions) -> TextSource | None:
    """Raises UsageError."""
    from nightjar.config.errors import UsageError, suggest
    from nightjar.scripts.fidelity import TextSource
    from nightjar.scripts.fidelity_operands import read_texts
    from nightjar.workers.fidelity.passages import WindowLayout

    if options.layout not in list(WindowLayout):
        raise UsageError(
            f"--as {options.layout!r}: {suggest(options.layout, [layout.value for layout in WindowLayout], 'layout')}"
        )
    if not options.text:
        if options.window is not None or options.layout != WindowLayout.NIGHTJAR:
            raise UsageError("--window and --as cut a text into windows, and there is no --text: leave them out.")
        return None
    names = [path.name for path in options.text]
    return TextSource(
        name=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
        texts=tuple(read_texts(options.text)),
        window=options.window,
        layout=WindowLayout(options.layout),
        limit=options.limit,
    )


async def _of_run(
    options: FidelityOptions, loads: list[FidelityLoad], settings: Settings
) -> tuple[StoredJobs | None, RunReport | None]:
    """The run's conversations where they are to be read, and its report."""
    if options.run is None:
        return None, None
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.collect.collector import collect
    from nightjar.scripts.session import open_session
    from nightjar.workers.fidelity.conversations import stored_jobs

    async with open_session(reading=True, log_file="fidelity.log") as session:
        run = await find_run(options.run, session.database)
        stored = None if options.text else await stored_jobs(run, loads, options.limit, session.database)
        return stored, await collect(run.id, session.database)


def _show(result: FidelityResult, paths: list[Path], *, as_json: bool) -> None:
    from nightjar.pipeline.report.data import fidelity_words as words
    from nightjar.pipeline.report.data.fidelity import fidelity_data
    from nightjar.pipeline.report.page import fidelity_tables as tables
    from nightjar.scripts.views.gates import show_results
    from nightjar.scripts.views.output import console, emit_json, plain, table

    if as_json:
        emit_json({**fidelity_data(result), "files": [str(path) for path in paths]})
        return
    for notice in result.notices:
        print(plain(f"{notice.level}: {notice.text}"))
    print(plain(words.about_words(result)))
    console().print(table(None, tables.TERMINAL_COLUMNS, tables.terminal_rows(result)))
    print(plain(words.answer_words(result)))
    show_results(result.gates)
    for path in paths:
        print(plain(str(path)))
