"""`nightjar baseline`: which run a suite's other runs are held against."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The run that a suite's other runs are held against: by `compare RUN`, by gates, in reports.",
)
SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="The suite's name.")]


@app.command("set")
def set_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that is DONE: its name or id.")],
    suite: Annotated[str | None, typer.Option(help="Baseline of this suite; default: the run's own.")] = None,
    as_json: Json = False,
) -> None:
    """Make a run the baseline of its suite. Example: nightjar baseline set nightly-2026-11-20-0200Z"""
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.compare.baseline import set_baseline
    from nightjar.scripts.session import open_session, run_async

    async def write() -> dict[str, Any]:
        async with open_session() as session:
            found = await set_baseline(await find_run(run, session.database), suite, session.database)
            return _row(found)

    row = run_async(write())
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
    from nightjar.config.errors import UnknownNameError
    from nightjar.scripts.session import open_session, run_async

    async def forget() -> None:
        async with open_session() as session:
            baselines = session.database.raw["baselines"]
            if not (await baselines.delete_one({"_id": suite})).deleted_count:
                raise UnknownNameError("baseline of suite", suite, await baselines.distinct("_id"))

    run_async(forget())
    print(plain(f"Suite {suite!r} has no baseline any more."))


def _rows() -> list[dict[str, Any]]:
    from nightjar.jobs.nights import Baseline
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[dict[str, Any]]:
        async with open_session():
            return [_row(found) for found in await Baseline.find_all().sort("+_id").to_list()]

    return run_async(load())


def _row(found: Any) -> dict[str, Any]:
    return {"suite": found.id, "run": found.run_name, "id": found.run, "set_at": found.set_at}
