"""`nightjar compare`: models or nights side by side, with gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.gates import result_row, show_results
from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.jobs.ending import GateResult
    from nightjar.pipeline.compare.comparison import Comparison, PairBy, Side
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.scripts.session import Session

app = typer.Typer(add_completion=False)


@app.command()
@takes(GateOptions)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN[:MODEL[+VARIANT]]...",
            help="The others are compared with the first; a single one is compared with its baseline.",
        ),
    ],
    gates: GateOptions,
    pair_by: Annotated[
        str,
        typer.Option(metavar="content|id", help="The same sequences: by content, or by id where suites ask otherwise."),
    ] = "content",
    as_json: Json = False,
) -> None:
    """Compare runs or models, sequence by sequence: better, worse, or can't tell.

    Example: nightjar compare nightly-2026-11-20 nightly-2026-11-21 --fail-on-regression checks:0.05
    """
    from nightjar.config.errors import UsageError
    from nightjar.scripts.session import run_async

    if gates.baseline is not None and len(runs) > 1:
        raise UsageError("--baseline is for a single RUN: of several, the first is what the others are compared with.")
    run_async(_compare(runs, gates, _read_pair_by(pair_by), as_json=as_json))


def _read_pair_by(text: str) -> PairBy:
    from nightjar.config.errors import UsageError
    from nightjar.pipeline.compare.comparison import PairBy

    if text not in list(PairBy):
        raise UsageError(f"--pair-by is {text!r}; it is content or id.")
    return PairBy(text)


async def _compare(names: list[str], asked: GateOptions, pair_by: PairBy, *, as_json: bool) -> None:
    from nightjar.jobs.ending import gates_failed
    from nightjar.pipeline.compare.comparison import compare_sides, pair_up, unpaired
    from nightjar.pipeline.compare.gates import check_comparison, check_report
    from nightjar.scripts.session import open_session

    gates = asked.gates()
    async with open_session(reading=True) as session:
        reports: dict[str, RunReport] = {}
        files: dict[str, list[str]] = {}
        if len(names) == 1:
            names = [await _baseline_of(names[0], asked.baseline, session), *names]
        operands = [await _sides(name, pair_by, session, reports, files) for name in names]
    comparisons, results = [], []
    left_out: list[str] = []
    for other in operands[1:]:
        pairs = pair_up(operands[0], other)
        left_out += unpaired(operands[0], other, pairs)
        comparisons += [compare_sides(one, two) for one, two in pairs]
        for side in {two.name: two for _, two in pairs}.values():
            results += check_report(gates, side.report, side.model.name)
    for comparison in comparisons:
        results += check_comparison(gates, comparison)
    if as_json:
        _show_json(comparisons, results, left_out, [_run_row(report, files[key]) for key, report in reports.items()])
    else:
        _show(comparisons, results, left_out)
    if gates_failed(results, strict=asked.strict):
        raise typer.Exit(1)


async def _baseline_of(operand: str, named: str | None, session: Session) -> str:
    """The name of the run that a single run is compared with. Raises UsageError where there is none."""
    from nightjar.config.errors import UsageError
    from nightjar.pipeline.compare.baseline import find_baseline

    run, _ = await _operand(operand, session)
    base = await find_baseline(run, named, session.database)
    if base is None:
        raise UsageError(
            f"compare needs two or more of RUN or RUN:MODEL: {operand!r} alone is compared with the baseline, and no "
            f"baseline has been set for suite {run.suite_name!r}. Set one with `nightjar baseline set RUN`."
        )
    if base.id == run.id:
        raise UsageError(f"Run {run.name!r} is the baseline itself; name another run to compare it with.")
    return base.name


async def _operand(operand: str, session: Session) -> tuple[Run, str | None]:
    """The run and model that RUN or RUN:MODEL names; a run's own name may hold a colon."""
    from nightjar.config.errors import UnknownNameError
    from nightjar.jobs.lookup import find_run

    try:
        return await find_run(operand, session.database), None
    except UnknownNameError:
        name, colon, model = operand.rpartition(":")
        if not colon:
            raise
        return await find_run(name, session.database), model


async def _sides(
    operand: str, pair_by: PairBy, session: Session, reports: dict[str, RunReport], files: dict[str, list[str]]
) -> list[Side]:
    """Those of an operand; each run is collected once, and noted with the files of its report."""
    from nightjar.pipeline.collect.collector import collect
    from nightjar.pipeline.compare.comparison import sides

    run, model = await _operand(operand, session)
    if run.id not in reports:
        reports[run.id] = await collect(run.id, session.database)
        files[run.id] = run.outcome.files
    return sides(reports[run.id], model, pair_by)


def _show(comparisons: list[Comparison], results: list[GateResult], left_out: list[str]) -> None:
    from nightjar.pipeline.compare.rows import COMPARED_COLUMNS, cost_rows, metric_rows
    from nightjar.pipeline.report.data.numbers import count_of
    from nightjar.scripts.views.output import console, plain, table

    screen = console()
    for name in left_out:
        print(plain(f"Not compared (in one run only): {name}"))
    for comparison in comparisons:
        over = f"over {count_of(comparison.shared, 'shared sequence')}"
        over += f", {comparison.incomplete} of them incomplete" if comparison.incomplete else ""
        print(plain(f"{comparison.other.name} against {comparison.base.name}, {over}"))
        for notice in comparison.notices:
            print(plain(f"  Note: {notice}"))
        for side, only in ((comparison.base, comparison.only_base), (comparison.other, comparison.only_other)):
            if only:
                print(plain(f"  Only in {side.name}: {', '.join(only)}"))
        screen.print(table(None, COMPARED_COLUMNS, [*metric_rows(comparison), *cost_rows(comparison)]))
    show_results(results)


def _run_row(report: RunReport, files: list[str]) -> dict[str, Any]:
    """A run that was compared, with its own scores."""
    from nightjar.pipeline.report.formats.json_ import numbers_of

    run, numbers = report.provenance, numbers_of(report)
    about = {"id": run.id, "name": run.name, "status": run.status.value, "partial": run.partial}
    return {**about, "answer": numbers["answer"], "models": numbers["models"], "files": files}


def _show_json(
    comparisons: list[Comparison], results: list[GateResult], left_out: list[str], runs: list[dict[str, Any]]
) -> None:
    from nightjar.pipeline.compare.rows import comparison_json
    from nightjar.scripts.views.output import emit_json

    emit_json(
        {
            "runs": runs,
            "unpaired": left_out,
            "comparisons": [comparison_json(comparison) for comparison in comparisons],
            "gates": [result_row(result) for result in results],
        }
    )
