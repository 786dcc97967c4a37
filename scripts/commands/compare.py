"""`nightjar compare`: models or nights side by side, with gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.gate_options import GateOptions, result_row, show_results
from scripts.options import takes
from scripts.output import Json

if TYPE_CHECKING:
    from jobs.documents import Run
    from jobs.ending import GateResult
    from pipeline.comparison import Comparison, Side
    from pipeline.report.data import RunReport
    from scripts.session import Session

app = typer.Typer(add_completion=False)


@app.command()
@takes(GateOptions)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN[:MODEL]...",
            help="The first is what the others are held against; one alone is held against its baseline.",
        ),
    ],
    gates: GateOptions,
    as_json: Json = False,
) -> None:
    """Compare runs or models, sequence by sequence: better, worse, or can't tell.

    Example: nightjar compare nightly-2026-11-20 nightly-2026-11-21 --fail-on-regression checks:0.05
    """
    from config.errors import UsageError
    from scripts.session import run_async

    if gates.baseline is not None and len(runs) > 1:
        raise UsageError("--baseline is for one RUN alone; of several the first is what the others are held against.")
    run_async(_compare(runs, gates, as_json=as_json))


async def _compare(names: list[str], asked: GateOptions, *, as_json: bool) -> None:
    from jobs.ending import failed
    from pipeline.comparison import compare_sides, pair_up
    from pipeline.gates import check_comparison, check_report
    from scripts.session import open_session

    gates = asked.gates()
    async with open_session() as session:
        reports: dict[str, RunReport] = {}
        if len(names) == 1:
            names = [await _baseline_of(names[0], asked.baseline, session), *names]
        operands = [await _sides(name, session, reports) for name in names]
    comparisons, results = [], []
    for other in operands[1:]:
        pairs = pair_up(operands[0], other)
        comparisons += [compare_sides(one, two) for one, two in pairs]
        for side in {two.name: two for _, two in pairs}.values():
            results += check_report(gates, side.report, side.model.name)
    for comparison in comparisons:
        results += check_comparison(gates, comparison)
    if as_json:
        _show_json(comparisons, results)
    else:
        _show(comparisons, results)
    if failed(results, strict=asked.strict):
        raise typer.Exit(1)


async def _baseline_of(operand: str, named: str | None, session: Session) -> str:
    """The name of the run that a run alone is held against. Raises UsageError where there is none."""
    from config.errors import UsageError
    from pipeline.verdict import find_baseline

    run, _ = await _operand(operand, session)
    base = await find_baseline(run, named, session.database)
    if base is None:
        raise UsageError(
            f"compare needs two or more of RUN or RUN:MODEL: suite {run.suite_name!r} has no baseline to hold "
            f"{operand!r} against. Set one: `nightjar baseline set RUN`."
        )
    if base.id == run.id:
        raise UsageError(f"Run {run.name!r} is the baseline itself; give another run to compare it with.")
    return base.name


async def _operand(operand: str, session: Session) -> tuple[Run, str | None]:
    """The run and model that RUN or RUN:MODEL names; a run's own name may hold a colon."""
    from config.errors import UnknownNameError
    from jobs.lookup import find_run

    try:
        return await find_run(operand, session.database), None
    except UnknownNameError:
        name, colon, model = operand.rpartition(":")
        if not colon:
            raise
        return await find_run(name, session.database), model


async def _sides(operand: str, session: Session, reports: dict[str, RunReport]) -> list[Side]:
    from pipeline.collector import collect
    from pipeline.comparison import sides

    run, model = await _operand(operand, session)
    if run.id not in reports:
        reports[run.id] = await collect(run.id, session.database)
    return sides(reports[run.id], model)


def _show(comparisons: list[Comparison], results: list[GateResult]) -> None:
    from pipeline.report import format as fmt
    from pipeline.report.answer import amount, verdict_words
    from scripts.output import console, plain, table

    screen = console()
    for one in comparisons:
        print(plain(f"{one.other.name} against {one.base.name}, over {one.shared} sequences"))
        for notice in one.notices:
            print(plain(f"  Note: {notice}"))
        for side, only in ((one.base, one.only_base), (one.other, one.only_other)):
            if only:
                print(plain(f"  Only in {side.name}: {', '.join(only)}"))
        rows = []
        for metric in (*one.metrics, *one.measures):
            found = metric.pair.paired.interval
            between = f"{amount(found.low, metric.scale)} to {amount(found.high, metric.scale)}" if found else "-"
            values = [fmt.metric_value(value, metric.scale) for value in (metric.base, metric.other)]
            verdict = verdict_words(metric.pair) if metric in one.metrics else "a measure"
            rows.append([metric.metric, *values, amount(metric.pair.paired.difference, metric.scale), between, verdict])
        rows += [[cost.name, fmt.number(cost.base), fmt.number(cost.other), "", "", ""] for cost in one.costs]
        screen.print(table(None, ["metric", "base>", "other>", "difference>", "95 % interval>", "verdict"], rows))
    show_results(results)


def _show_json(comparisons: list[Comparison], results: list[GateResult]) -> None:
    from scripts.output import emit_json

    emit_json({"comparisons": [_comparison(one) for one in comparisons], "gates": [result_row(one) for one in results]})


def _comparison(one: Comparison) -> dict[str, Any]:
    from dataclasses import asdict

    def metric(found: Any) -> dict[str, Any]:
        pair = found.pair
        return {
            "metric": found.metric,
            "base": found.base,
            "other": found.other,
            **asdict(pair.paired),
            "p_adjusted": pair.p_adjusted,
            "verdict": pair.verdict.value if found in one.metrics else None,
            "detectable": pair.detectable,
            "needed": pair.needed,
        }

    return {
        "base": one.base.name,
        "other": one.other.name,
        "shared": one.shared,
        "only_base": one.only_base,
        "only_other": one.only_other,
        "notices": one.notices,
        "metrics": [metric(found) for found in (*one.metrics, *one.measures)],
        "costs": [asdict(cost) for cost in one.costs],
    }
