"""`nightjar schedule`: runs that the dispatcher starts by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.run import EditedRunOptions, QueuedRunOptions, request_options
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nightjar.jobs.mongo import Database
    from nightjar.jobs.nights.documents import Schedule
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
    from nightjar.jobs.nights.documents import Schedule
    from nightjar.jobs.reading import read_each
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[dict[str, Any]]:
        async with open_session(reading=True) as session:
            now = await session.database.now()
            schedules = sorted(await read_each(Schedule, {}, session.database), key=lambda schedule: schedule.id)
            return [_row(schedule, now) for schedule in schedules]

    def shown(row: dict[str, Any], column: str) -> Any:
        return "paused" if row["paused"] and column in ("next_local", "next_utc") else row[column]

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
    console().print(table(None, heads, [[shown(row, column) for column in columns] for row in rows]))


@app.command()
def pause(name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Make no run until it is resumed; one that works goes on. Example: nightjar schedule pause nightly"""
    from nightjar.pipeline.nights.change_schedule import pause_schedule

    said = "is paused" if _changed(name, pause_schedule) else "was paused already"
    print(plain(f"Schedule {name!r} {said}; `nightjar schedule resume {name}` starts it again."))


@app.command()
def resume(name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Start a paused schedule again, from its next tick on. Example: nightjar schedule resume nightly"""
    from nightjar.pipeline.nights.change_schedule import resume_schedule

    said = "makes runs again" if _changed(name, resume_schedule) else "was not paused"
    print(plain(f"Schedule {name!r} {said}; see `nightjar schedule list`."))


@app.command()
@takes(EditedRunOptions, GateOptions)
def edit(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The schedule's name.")],
    options: EditedRunOptions,
    gates: GateOptions,
    cron: Annotated[str | None, typer.Option(help="Five fields, such as '0 2 * * *' for two at night.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", "-z", help="Such as Europe/Berlin.")] = None,
    overlap: Annotated[str | None, typer.Option(help="skip, queue or cancel-previous.")] = None,
    missed: Annotated[str | None, typer.Option(help="run (the newest, once) or skip.")] = None,
    grace: Annotated[str | None, typer.Option(metavar="DURATION", help="So late a tick is not yet missed.")] = None,
    keep_nights: Annotated[int | None, typer.Option(min=1, help="Keep the transcripts of so many runs.")] = None,
    reset: Annotated[
        list[str] | None, typer.Option(metavar="OPTION", help="Give this option its default back; repeatable.")
    ] = None,
) -> None:
    """Change a schedule: what is given takes the place of what was there, the rest stays, and so do its runs.

    Example: nightjar schedule edit nightly --cron '30 1 * * *' --repeats 3 --reset limit
    """
    from nightjar.scripts.options.edited import edited_fields, edited_options, reset_keys
    from nightjar.scripts.session import run_async

    given = {parameter for parameter in ctx.params if _typed(ctx, parameter)}
    fields = edited_fields(
        given, cron=cron, timezone=timezone, overlap=overlap, missed=missed, grace=grace, keep_nights=keep_nights
    )
    changes = edited_options(request_options(options, gates), given)
    forgotten = reset_keys(reset or [])
    if not fields and not changes and not forgotten:
        raise UsageError("There is nothing to change. Name an option: `nightjar schedule edit --help` lists them.")
    tick = run_async(_edit(name, fields, changes, forgotten))
    print(plain(f"Schedule {name!r} is changed; its next run is at {tick}."))


@app.command()
def run(name: Annotated[str, typer.Argument(help="The schedule's name.")], as_json: Json = False) -> None:
    """Make its run now, by hand: no tick of the clock, no night of the trend. Example: nightjar schedule run nightly"""
    from nightjar.pipeline.nights.change_schedule import run_schedule
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.options.run import local_models
    from nightjar.scripts.session import open_session, run_async
    from nightjar.workers.embedder.client import embedder_opener

    async def enqueued() -> dict[str, Any]:
        async with open_session() as session:
            closers, known = this_home(session.settings), local_models(session.settings)
            embedder = embedder_opener(session.settings)
            made = await run_schedule(name, session.database, closers=closers, known_models=known, embedder=embedder)
            return {"id": made.run.id, "name": made.run.name, "jobs_total": made.jobs_total, "schedule": name}

    row = run_async(enqueued())
    if as_json:
        emit_json({"run": row})
    else:
        jobs = how_many(row["jobs_total"], "job")
        print(plain(f"Run {row['name']!r}: {jobs}. `nightjar run wait {row['name']}` waits for it."))


@app.command()
def rm(name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Remove a schedule; its runs stay. Example: nightjar schedule rm nightly"""
    from nightjar.pipeline.nights.change_schedule import remove_schedule
    from nightjar.scripts.session import open_session, run_async

    async def remove() -> None:
        async with open_session():
            await remove_schedule(name)

    run_async(remove())
    print(plain(f"Removed schedule {name!r}."))


def _typed(ctx: typer.Context, parameter: str) -> bool:
    """Whether somebody gave the option, whatever its value."""
    source = ctx.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _changed(name: str, change: Callable[[str, Database], Awaitable[bool]]) -> bool:
    from nightjar.scripts.session import open_session, run_async

    async def work() -> bool:
        async with open_session() as session:
            return await change(name, session.database)

    return run_async(work())


async def _edit(name: str, fields: dict[str, Any], changes: dict[str, Any], forgotten: set[str]) -> str:
    from nightjar.pipeline.nights.change_schedule import edit_schedule
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.options.run import local_models
    from nightjar.scripts.session import open_session
    from nightjar.workers.embedder.client import embedder_opener

    async with open_session() as session:
        changes |= {"known_models": local_models(session.settings)}
        schedule = await edit_schedule(
            name,
            fields,
            changes,
            session.database,
            reset=forgotten,
            enforceable=check_enforceable,
            embedder=embedder_opener(session.settings),
        )
        row = _row(schedule, await session.database.now())
        return f"{row['next_local']} ({row['next_utc']} UTC)"


async def _add(
    name: str, cron: str, timezone: str, options: dict[str, Any], rules: Rules
) -> tuple[str, tuple[str, ...]]:
    import asyncio

    from nightjar.pipeline.nights.schedules import add_schedule
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.fidelity_preflight import check_here
    from nightjar.scripts.options.run import command_notes, local_models
    from nightjar.scripts.session import open_session
    from nightjar.workers.embedder.client import embedder_opener

    async with open_session() as session:
        asked = options.get("fidelity_to"), options["models"], session.settings
        apart = await asyncio.to_thread(check_here, *asked)
        options |= {"known_models": local_models(session.settings)}
        schedule = await add_schedule(
            name,
            cron,
            timezone,
            options,
            session.database,
            rules=rules,
            enforceable=check_enforceable,
            embedder=embedder_opener(session.settings),
            closers=this_home(session.settings),
        )
        row = _row(schedule, schedule.created_at)
        tick = f"{row['next_local']} ({row['next_utc']} UTC)"
        return tick, (*apart, *command_notes(options.get("on_finish") or (), session.settings))


def _row(schedule: Schedule, now: Any) -> dict[str, Any]:
    from nightjar.pipeline.nights.schedule_row import schedule_row

    row = schedule_row(schedule, now)
    if row["next_utc"] is None:
        raise UsageError(
            f"Schedule {schedule.id!r} never ticks again; remove it: `nightjar schedule rm {schedule.id}`."
        )
    return row
