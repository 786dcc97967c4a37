"""`nightjar compare`: models or nights side by side, with gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.output import Json

if TYPE_CHECKING:
    from pipeline.comparison import Comparison, Side
    from pipeline.gates import Gate, GateResult
    from pipeline.report.data import RunReport
    from scripts.session import Session

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN[:MODEL]...", help="The first is what the others are held against.")
    ],
    fail_below: Annotated[
        list[str] | None, typer.Option(metavar="METRIC:X", help="Exit code 1 when the metric is worse than X.")
    ] = None,
    fail_on_regression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:MARGIN", help="Exit code 1 when it is worse by more than the margin beyond doubt."
        ),
    ] = None,
    max_missing: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Exit code 1 when more of the turns is missing, 0 to 1.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A gate that cannot be decided fails too.")] = False,
    as_json: Json = False,
) -> None:
    """Compare runs or models, sequence by sequence: better, worse, or can't tell.

    Example: nightjar compare nightly-2026-11-20 nightly-2026-11-21 --fail-on-regression checks:0.05
    """
    from config.errors import UsageError
    from pipeline.gates import GateKind, parse_gate
    from scripts.session import run_async

    if len(runs) < 2:
        raise UsageError("compare needs two or more of RUN or RUN:MODEL.")
    gates = [parse_gate(GateKind.BELOW, text) for text in fail_below or ()]
    gates += [parse_gate(GateKind.REGRESSION, text) for text in fail_on_regression or ()]
    gates += [parse_gate(GateKind.MISSING, max_missing)] if max_missing is not None else []
    run_async(_compare(runs, gates, strict=strict, as_json=as_json))


async def _compare(names: list[str], gates: list[Gate], *, strict: bool, as_json: bool) -> None:
    from pipeline.comparison import compare_sides, pair_up
    from pipeline.gates import check_comparison, check_report, failed
    from scripts.session import open_session

    async with open_session() as session:
        reports: dict[str, RunReport] = {}
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
    if failed(results, strict=strict):
        raise typer.Exit(1)


async def _sides(operand: str, session: Session, reports: dict[str, RunReport]) -> list[Side]:
    """The models that RUN or RUN:MODEL names; a run's own name may hold a colon."""
    from config.errors import UnknownNameError
    from jobs.lookup import find_run
    from pipeline.collector import collect
    from pipeline.comparison import sides

    model: str | None = None
    try:
        run = await find_run(operand, session.database)
    except UnknownNameError:
        name, colon, model = operand.rpartition(":")
        if not colon:
            raise
        run = await find_run(name, session.database)
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
    for result in results:
        print(plain(f"Gate {result.gate.kind.value}: {result.outcome.value} for {result.about}: {result.reason}."))


def _show_json(comparisons: list[Comparison], results: list[GateResult]) -> None:
    from scripts.output import emit_json

    emit_json({"comparisons": [_comparison(one) for one in comparisons], "gates": [_gate(one) for one in results]})


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


def _gate(result: GateResult) -> dict[str, Any]:
    gate = result.gate
    return {
        "gate": gate.kind.value,
        "metric": gate.metric,
        "value": gate.value,
        "about": result.about,
        "outcome": result.outcome.value,
        "reason": result.reason,
    }
