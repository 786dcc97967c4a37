"""`nightjar schedule`: runs that the dispatcher starts by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.run import QueuedRunOptions, request_options
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.nights import Schedule
    from nightjar.pipeline.nights.ticks import Rules

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Nightly runs. A running dispatcher (also beside a worker of this home) starts them, each tick once.",
)


@app.command()
@takes(QueuedRunOptions, GateOptions)
def add(
    name: Annotated[str, typer.Argument(help="Its runs are called NAME-DATE-TIME.")],
    cron: Annotated[str, typer.Option(help="Five fields, such as '0 2 * * *' for two at night.")],
    options: QueuedRunOptions,
    gates: GateOptions,
    timezone: Annotated[
        str, typer.Option("--timezone", "-z", help="Such as Europe/Berlin; also the deadline's.")
    ] = "UTC",
    overlap: Annotated[
        str, typer.Option(help="A tick while the run before still works: skip, queue or cancel-previous.")
    ] = "queue",
    missed: Annotated[
        str, typer.Option(help="Ticks at which no dispatcher ran: run (the newest, once) or skip.")
    ] = "run",
    grace: Annotated[str, typer.Option(metavar="DURATION", help="So late a tick is not yet missed.")] = "5m",
    keep_nights: Annotated[
        int | None, typer.Option(min=1, help="Keep the transcripts of the newest so many runs; default: the setting.")
    ] = None,
) -> None:
    """Start a run at every tick of a clock.

    Example: nightjar schedule add nightly --cron '0 2 * * *' --timezone Europe/Berlin --suite mt-bench --model story
    """
    from nightjar.pipeline.nights.ticks import Rules
    from nightjar.scripts.session import run_async

    rules = Rules.read(overlap=overlap, missed=missed, grace=grace, keep_nights=keep_nights)
    tick, notes = run_async(_add(name, cron, timezone, request_options(options, gates), rules))
    for note in notes:
        print(plain(f"Note: {note}"))
    needed = "A `nightjar dispatcher`, or a worker of this home, must be running then."
    print(plain(f"Schedule {name!r}: the first run is at {tick}. {needed}"))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Schedules with their next tick. Example: nightjar schedule list"""
    from nightjar.jobs.nights import Schedule
    from nightjar.jobs.reading import read_each
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[dict[str, Any]]:
        async with open_session(reading=True) as session:
            now = await session.database.now()
            schedules = sorted(await read_each(Schedule, {}, session.database), key=lambda schedule: schedule.id)
            return [_row(schedule, now) for schedule in schedules]

    rows = run_async(load())
    if as_json:
        emit_json({"schedules": rows})
        return
    columns = (
        "name",
        "cron",
        "timezone",
        "next_local",
        "next_utc",
        "suite",
        "models",
        "last_run",
        "last_passed",
        "last_error",
    )
    heads = [column.replace("_", " ") for column in columns]
    console().print(table(None, heads, [[row[column] for column in columns] for row in rows]))


@app.command()
def rm(name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Remove a schedule; its runs stay. Example: nightjar schedule rm nightly"""
    from nightjar.jobs.nights import Schedule
    from nightjar.scripts.session import open_session, run_async

    async def remove() -> None:
        async with open_session():
            schedule = await Schedule.get(name)
            if schedule is None:
                raise UnknownNameError("schedule", name, [other.id for other in await Schedule.find_all().to_list()])
            await schedule.delete()

    run_async(remove())
    print(plain(f"Removed schedule {name!r}."))


async def _add(
    name: str, cron: str, timezone: str, options: dict[str, Any], rules: Rules
) -> tuple[str, tuple[str, ...]]:
    from nightjar.pipeline.nights.schedules import add_schedule
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.options.run import command_notes, local_models
    from nightjar.scripts.session import open_session

    async with open_session() as session:
        options |= {"known_models": local_models(session.settings)}
        schedule = await add_schedule(
            name,
            cron,
            timezone,
            options,
            session.database,
            rules=rules,
            enforceable=check_enforceable,
            closers=this_home(session.settings),
        )
        row = _row(schedule, schedule.created_at)
        tick = f"{row['next_local']} ({row['next_utc']} UTC)"
        return tick, command_notes(options.get("on_finish") or (), session.settings)


def _row(schedule: Schedule, now: Any) -> dict[str, Any]:
    from zoneinfo import ZoneInfo

    from nightjar.pipeline.nights.ticks import next_tick

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
        "last_passed": schedule.last_passed,
        "waiting_for": schedule.waiting_for,
        "overlap": schedule.overlap,
        "missed": schedule.missed,
        "grace_s": schedule.grace_s,
        "keep_nights": schedule.keep_nights,
        "enqueue": _shown(schedule.enqueue),
    }


def _shown(enqueue: dict[str, Any]) -> dict[str, Any]:
    """The request without what a web address may hide."""
    from nightjar.jobs.ending import Hook

    hooks = [str(Hook.model_validate(hook)) for hook in enqueue.get("on_finish", ())]
    return enqueue | ({"on_finish": hooks} if hooks else {})
