"""`nightjar status`: services, queues, runs and workers at a glance."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.streams import unread
from nightjar.scripts.views.output import Json, console, emit_json, plain, table
from nightjar.scripts.views.run import status_of

if TYPE_CHECKING:
    from rich.console import Group

    from nightjar.config.settings import Settings
    from nightjar.jobs.mongo import Database
    from nightjar.jobs.queue import Doorbell
    from nightjar.jobs.status.views import Overview, ServiceState

app = typer.Typer(add_completion=False)
WATCH_S = 2.0
LOCK_S = 4.0
"""How long it waits for a server that another process is starting."""
RUN_COLUMNS = ("run", "status", "done>", "open>", "dead>", "%>", "turns>", "empty>", "retries>", "ETA>")
COST_COLUMNS = ("run", "model", "for", "cost>", "each>", "done>", "requests>")
WORKER_COLUMNS = ("worker", "model", "device", "state", "slots>", "tokens/s in total>", "wasted>", "beat>")


@app.command(epilog="Example: nightjar status --watch")
def status(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only this run: its name or id.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every two seconds.")] = False,
    as_json: Json = False,
) -> None:
    """How everything stands, and why what waits is waiting. Exit code 1 when work waits that nothing will start."""
    from nightjar.scripts.session import run_async

    sys.exit(run_async(_watch(run, as_json) if watch else _once(run, as_json)))


async def _once(run: str | None, as_json: bool) -> int:
    overview = await _read(run)
    if as_json:
        emit_json(_as_json(overview))
    else:
        console().print(_tables(overview, all_costs=run is not None))
    return int(overview.stalled)


async def _watch(run: str | None, as_json: bool) -> int:
    from rich.live import Live

    if as_json:
        while not unread():
            emit_json(_as_json(await _read(run)))
            sys.stdout.flush()
            await asyncio.sleep(WATCH_S)
        return 0
    with Live(console=console(), refresh_per_second=4) as live:
        while not unread():
            live.update(_tables(await _read(run), all_costs=run is not None))
            await asyncio.sleep(WATCH_S)
    return 0


async def _read(name: str | None) -> Overview:
    """The overview; a server that is away is part of the answer."""
    from nightjar.config.embedded import mongo_url
    from nightjar.config.errors import NightjarError, UsageError
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.mongo import DatabaseError
    from nightjar.jobs.status.views import Overview, ServiceState

    settings = load_settings()
    configure(settings)
    redis = asyncio.create_task(_redis(settings))
    try:
        url = await asyncio.to_thread(partial(mongo_url, settings, lock_s=LOCK_S, begin=False))
        documents = name is not None
        async with await connect(url, settings.mongo_database, documents=documents, access=Access.READ) as database:
            return await _overview(name, database, await _in_use(await redis, database, settings))
    except UsageError:
        raise
    except (NightjarError, DatabaseError) as error:
        mongo = ServiceState(ok=False, reason=_why(error, settings))
        found = await redis
        reached = found if isinstance(found, ServiceState) else ServiceState(ok=True)
        return Overview(services={"mongo": mongo, "redis": reached})
    finally:
        if not isinstance(found := await redis, ServiceState):
            await found.close()


async def _in_use(found: Doorbell | ServiceState, database: Database, settings: Settings) -> ServiceState:
    """Whether this Redis is the one that this database's processes use."""
    from nightjar.config.errors import ServiceError
    from nightjar.jobs.redis_in_use import mongo_in_use, other_in_use
    from nightjar.jobs.status.views import ServiceState

    if isinstance(found, ServiceState):
        return found
    try:
        other = await other_in_use(found, database, mongo_in_use(settings))
    except ServiceError as error:
        return ServiceState(ok=False, reason=str(error))
    return ServiceState(ok=other is None, reason=other)


def _why(error: Exception, settings: Settings) -> str:
    """The error, and a full disk where that is the cause: a server that it ended does not say so."""
    from nightjar.config.embedded import full_disk

    reason = str(error) or type(error).__name__
    disk = full_disk(settings)
    return reason if disk is None or disk in reason else f"{disk} ({reason})"


async def _overview(name: str | None, database: Database, redis: ServiceState) -> Overview:
    from nightjar.jobs.status.overview import read_overview

    if name is None:
        return await read_overview(database, redis)
    from nightjar.jobs.lookup import find_run

    return await read_overview(database, redis, run_id=(await find_run(name, database, removing=True)).id)


async def _redis(settings: Settings) -> Doorbell | ServiceState:
    """A connection to Redis, or why there is none."""
    from nightjar.config.embedded import redis_url
    from nightjar.config.errors import NightjarError, SettingsError
    from nightjar.jobs.queue import Doorbell
    from nightjar.jobs.status.views import ServiceState

    try:
        url = await asyncio.to_thread(partial(redis_url, settings, lock_s=LOCK_S, begin=False))
        return await Doorbell.connect(url)
    except SettingsError:
        raise
    except NightjarError as error:
        return ServiceState(ok=False, reason=str(error))


def _as_json(overview: Overview) -> dict[str, Any]:
    return dataclasses.asdict(overview) | {"stalled": overview.stalled}


def _tables(overview: Overview, *, all_costs: bool) -> Group:
    """`all_costs`: by model also where the run has ended."""
    from rich.console import Group
    from rich.text import Text

    from nightjar.jobs.states import TERMINAL_RUNS

    def add(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        if rows:
            parts.append(table(title, columns, rows))

    parts: list[Any] = [Text(f"{name}: {'ok' if s.ok else s.reason}") for name, s in overview.services.items()]
    costs = any(run.all_costs for run in overview.runs)  # most local runs have none to show
    runs = [(*_run_row(run), run.all_costs) if costs else _run_row(run) for run in overview.runs]
    add("Runs", (*RUN_COLUMNS, "cost>") if costs else RUN_COLUMNS, runs)
    paid = [run for run in overview.runs if all_costs or run.status not in TERMINAL_RUNS]
    add("Costs", COST_COLUMNS, [(run.name, *_cost_row(cost)) for run in paid for cost in run.costs])
    add("Waiting", ("model", "jobs>", "why"), [(queue.model, queue.waiting, queue.reason) for queue in overview.queues])
    add("Workers", WORKER_COLUMNS, [_worker_row(worker) for worker in overview.workers])
    dead_rows = [(dead.run, dead.model, dead.count, dead.example[:160]) for dead in overview.dead]
    add("Dead jobs", ("run", "model", "jobs>", "reason"), dead_rows)
    names = [f"{run.name}: {text}" for run in paid for text in run.names]
    troubles = [*names, *overview.nights, *(chore.sentence() for chore in overview.chores), *overview.unreadable]
    parts += [Text(plain(trouble)) for trouble in troubles]
    if not overview.runs and all(service.ok for service in overview.services.values()):
        parts.append(Text("No run yet: `nightjar demo` makes one, `nightjar enqueue` your own."))
    return Group(*parts)


def _run_row(run: Any) -> tuple[Any, ...]:
    total = sum(run.jobs.values())
    ended = total - run.jobs["PENDING"] - run.jobs["RUNNING"]
    share = f"{100 * ended / total:.0f}" if total else None
    reason = run.wait or (run.reason if run.reason != run.status.lower() else None) or run.waves
    status = status_of(run) + (f" ({reason})" if reason else "")
    return (
        run.name,
        status,
        run.jobs["DONE"],
        run.jobs["PENDING"] + run.jobs["RUNNING"],
        run.jobs["DEAD"],
        share,
        run.turns["committed"],
        run.turns["empty"],
        run.retries,
        None if run.eta_s is None else _duration(run.eta_s),
    )


def _cost_row(cost: Any) -> tuple[Any, ...]:
    from nightjar.jobs.remote_models import usd_text

    each = None if cost.usd_each is None else usd_text(cost.usd_each)
    return cost.model, cost.role, cost.cost, each, cost.done, cost.requests


def _worker_row(worker: Any) -> tuple[Any, ...]:
    why = worker.reason or worker.doing
    state = f"{worker.state}: {why}" if why else str(worker.state)
    state += f"; the machine is busy, others take {worker.others_cores:.1f} cores" if worker.busy else ""
    return (
        worker.id,
        worker.model,
        worker.device,
        state,
        f"{worker.slots_used}/{worker.slots}",
        f"{worker.tokens_per_s:.0f}",
        worker.wasted_tokens,
        f"{worker.beat_age_s:.0f} s",
    )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds_left = divmod(rest, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds_left:02} s"
