"""`nightjar baseline`: which run a suite's other runs are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.nights.documents import Baseline

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The run that a suite's other runs are compared with: by `compare RUN`, by gates, in reports.",
)
SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="The suite's name.")]


@app.command("set")
def set_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that is DONE: its name or id.")],
    suite: Annotated[str | None, typer.Option(help="Baseline of this suite; default: the run's own.")] = None,
    as_json: Json = False,
) -> None:
    """Make a run the baseline of its suite. Example: nightjar baseline set nightly-2026-11-20-0200Z"""
    from nightjar.pipeline.compare.baseline import set_baseline
    from nightjar.scripts.commands.run import on_run

    row = _row(on_run(run, lambda target, session: set_baseline(target, suite, session.database)))
    if as_json:
        emit_json({"baseline": row})
        return
    print(plain(f"Run {row['run']!r} is the baseline of suite {row['suite']!r}. It cannot be removed while it is."))


@app.command()
def show(suite: SuiteName, as_json: Json = False) -> None:
    """The baseline of a suite. Example: nightjar baseline show mt-bench"""
    from nightjar.config.errors import UnknownNameError

    rows = _rows()
    row = next((row for row in rows if row["suite"] == suite), None)
    if row is None:
        raise UnknownNameError("baseline of suite", suite, [row["suite"] for row in rows], "`nightjar baseline set`.")
    if as_json:
        emit_json({"baseline": row})
    else:
        print(plain(f"{row['run']}  ({row['id']}), since {row['set_at']:%Y-%m-%d %H:%M} UTC"))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The baselines of all suites. Example: nightjar baseline list"""
    rows = _rows()
    if as_json:
        emit_json({"baselines": rows})
        return
    console().print(table(None, ("suite", "run", "set"), [[r["suite"], r["run"], r["set_at"]] for r in rows]))


@app.command()
def clear(suite: SuiteName) -> None:
    """Forget a suite's baseline; the run stays. Example: nightjar baseline clear mt-bench"""
    from nightjar.jobs.nights.baselines import clear_baseline
    from nightjar.scripts.session import open_session, run_async

    async def forget() -> None:
        async with open_session() as session:
            await clear_baseline(suite, session.database)

    run_async(forget())
    print(plain(f"Suite {suite!r} no longer has a baseline."))


def _rows() -> list[dict[str, Any]]:
    from nightjar.jobs.nights.documents import Baseline
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[dict[str, Any]]:
        async with open_session(reading=True):
            return [_row(baseline) for baseline in await Baseline.find_all().sort("+_id").to_list()]

    return run_async(load())


def _row(baseline: Baseline) -> dict[str, Any]:
    return {"suite": baseline.id, "run": baseline.run_name, "id": baseline.run, "set_at": baseline.set_at}
