"""`nightjar schedule`: runs that the dispatcher starts by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.errors import UnknownNameError, UsageError
from scripts.enqueue_options import (
    Assignments,
    FailOnError,
    Judges,
    Limit,
    MaxTries,
    Models,
    Only,
    Priority,
    Repeats,
    RubricFile,
    Seed,
    Suite,
    request_options,
)
from scripts.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from jobs.nights import Schedule

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Nightly runs. A running `nightjar dispatcher` starts them, each tick once.",
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Its runs are called NAME-DATE-TIME.")],
    cron: Annotated[str, typer.Option(help="Five fields, such as '0 2 * * *' for two at night.")],
    suite: Suite,
    model: Models,
    timezone: Annotated[str, typer.Option("--timezone", "-z", help="Such as Europe/Berlin.")] = "UTC",
    repeats: Repeats = 1,
    seed: Seed = None,
    assignments: Assignments = None,
    only: Only = None,
    limit: Limit = None,
    priority: Priority = 0,
    max_tries: MaxTries = 3,
    fail_on_error: FailOnError = None,
    judge: Judges = None,
    rubric: RubricFile = None,
) -> None:
    """Start a run at every tick of a clock.

    Example: nightjar schedule add nightly --cron '0 2 * * *' --timezone Europe/Berlin --suite mt-bench --model story
    """
    from scripts.session import run_async

    options = request_options(
        assignments,
        suite=suite,
        models=tuple(model),
        repeats=repeats,
        seed=seed,
        only=only,
        limit=limit,
        priority=priority,
        max_tries=max_tries,
        fail_on_error=fail_on_error,
        judges=judge,
        rubric=rubric,
    )
    tick = run_async(_add(name, cron, timezone, options))
    print(plain(f"Schedule {name!r}: the first run is at {tick}. A `nightjar dispatcher` must be running then."))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Schedules with their next tick. Example: nightjar schedule list"""
    from jobs.nights import Schedule
    from scripts.session import open_session, run_async

    async def load() -> list[dict[str, Any]]:
        async with open_session() as session:
            now = await session.database.now()
            return [_row(schedule, now) for schedule in await Schedule.find_all().sort("+_id").to_list()]

    rows = run_async(load())
    if as_json:
        emit_json({"schedules": rows})
        return
    columns = ("name", "cron", "timezone", "next_local", "next_utc", "suite", "models", "last_run", "last_error")
    heads = [column.replace("_", " ") for column in columns]
    console().print(table(None, heads, [[row[column] for column in columns] for row in rows]))


@app.command()
def rm(name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Remove a schedule; its runs stay. Example: nightjar schedule rm nightly"""
    from scripts.session import open_session, run_async

    async def remove() -> None:
        async with open_session() as session:
            schedules = session.database.raw["schedules"]
            if not (await schedules.delete_one({"_id": name})).deleted_count:
                raise UnknownNameError("schedule", name, await schedules.distinct("_id"))

    run_async(remove())
    print(plain(f"Removed schedule {name!r}."))


async def _add(name: str, cron: str, timezone: str, options: dict[str, Any]) -> str:
    from pipeline.schedules import add_schedule
    from scripts.enqueue_options import local_models
    from scripts.session import open_session

    async with open_session() as session:
        options |= {"known_models": local_models(session.settings)}
        schedule = await add_schedule(name, cron, timezone, options, session.database)
        row = _row(schedule, schedule.created_at)
        return f"{row['next_local']} ({row['next_utc']} UTC)"


def _row(schedule: Schedule, now: Any) -> dict[str, Any]:
    from zoneinfo import ZoneInfo

    from pipeline.schedules import next_tick

    tick = next_tick(schedule.cron, schedule.timezone, now)
    if tick is None:
        raise UsageError(
            f"Schedule {schedule.id!r} never ticks again; remove it: `nightjar schedule rm {schedule.id}`."
        )
    local = tick.astimezone(ZoneInfo(schedule.timezone))
    return {
        "name": schedule.id,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "next_local": f"{local:%Y-%m-%d %H:%M %Z}",
        "next_utc": f"{tick:%Y-%m-%d %H:%M}",
        "suite": schedule.enqueue["suite"],
        "models": ", ".join(schedule.enqueue["models"]),
        "last_run": schedule.last_run,
        "last_error": schedule.last_error,
        "enqueue": schedule.enqueue,
    }
