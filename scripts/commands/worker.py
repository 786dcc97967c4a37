"""`nightjar worker`: generate replies, one process a GPU, with a standby dispatcher beside them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.config.errors import UsageError
from nightjar.config.settings import load_settings
from nightjar.config.stopping import OVERDUE_S, follow_parent
from nightjar.scripts.options.gpu import chosen_pins
from nightjar.scripts.options.load import LoadOptions
from nightjar.scripts.options.takes import takes
from nightjar.scripts.session import open_session, run_async

if TYPE_CHECKING:
    from nightjar.scripts.session import Session
    from nightjar.scripts.standby import Standby
    from nightjar.workers.process.supervisor import Supervisor

app = typer.Typer(add_completion=False)
Work = Callable[["Session", "Standby | None"], Awaitable[int]]


@app.command(epilog="Example: nightjar worker --model llama-3.1-8b --gpu 0")
@takes(LoadOptions)
def worker(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a model, path of a GGUF file, or auto: what has most to do.")
    ],
    gpu: Annotated[
        str | None, typer.Option(help="UUIDs or indices, comma-separated, or `none`; all cards when not given.")
    ] = None,
    load: LoadOptions = LoadOptions(),  # noqa: B008  # frozen
    live: Annotated[
        int, typer.Option(min=0, metavar="N", help="Slots kept for live requests, which then wait for no run.")
    ] = 0,
    live_preempts: Annotated[
        bool,
        typer.Option(
            "--live-preempts", help="With auto: a place at work makes room for a live request, once in ten minutes."
        ),
    ] = False,
    burst: Annotated[bool, typer.Option("--burst", help="End when no run has work for the model any more.")] = False,
    wanted: Annotated[str | None, typer.Option("--for", help="With auto: chat, embedding or judge only.")] = None,
    idle_exit: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="End after so long without a job to do.")
    ] = None,
    single: Annotated[bool, typer.Option("--single", hidden=True, help="Be the process of one pinned card.")] = False,
    started_ms: Annotated[int, typer.Option(hidden=True)] = 0,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End with the process that has this id.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model of a file is called in runs.")] = None,
) -> None:
    """Loads one model and generates the replies of its jobs: one supervised process for each card.

    Dispatches too, while nobody else does: `nightjar enqueue` and a worker are enough.
    """
    if live_preempts and model != "auto":
        raise UsageError("--live-preempts is for --model auto: a worker of one model has no other to make room for.")
    if parent is not None:
        follow_parent(parent, within_s=load_settings().drain_s + (OVERDUE_S if single else 2 * OVERDUE_S))
    else:
        chosen_pins(gpu)  # a card that cannot be used is said first of all
    named = ["--name", name] if name is not None else []
    flags = [*load.arguments(), *named, *(["--live", str(live)] if live else [])]
    if single:
        work = _serve(model, name, gpu, load, burst, started_ms, live)
    elif model == "auto" or idle_exit is not None:
        work = _roam(model, gpu, flags, wanted, idle_exit, dispatches=parent is None, live_preempts=live_preempts)
    else:
        work = _supervise(model, name, gpu, flags, burst, dispatches=parent is None)
    sys.exit(run_async(work))


async def _serve(
    model: str, name: str | None, gpu: str | None, load: LoadOptions, burst: bool, started_ms: int, live: int
) -> int:
    from nightjar.workers.process.load_model import WorkerOptions
    from nightjar.workers.process.main import serve

    async with open_session(service=True) as session:
        options = WorkerOptions(
            model=model,
            name=name,
            gpu=gpu,
            load=load.changes(),
            burst=burst,
            live=live,
            probe=False if load.probe is None and not session.settings.probe else load.probe,
            started_ms=started_ms,
        )
        return await serve(options, session.settings, session.database, session.urls.redis)


async def _supervise(
    model: str, name: str | None, gpu: str | None, flags: list[str], burst: bool, *, dispatches: bool
) -> int:
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.workers.process.gpus import NONE, choose_pins, list_cards
    from nightjar.workers.process.supervisor import Supervisor

    settings = load_settings()
    # A wrong name fails here, and a missing file is fetched once.
    entry = await asyncio.to_thread(obtained, model, settings)
    computes = entry.remote is None or entry.chain is not None
    pins = choose_pins(gpu, list_cards()) if computes else choose_pins(NONE, [])
    arguments = ["--model", model, *flags, *(["--burst"] if burst else [])]

    async def work(session: Session, standby: Standby | None) -> int:
        while True:
            supervisor = Supervisor(arguments, pins, session.database, burst=burst, drain_s=settings.drain_s)
            code = await supervisor.run()
            if code or standby is None or not await _has_more(name or entry.name, supervisor, standby, session):
                return code

    return await _beside_standby(work, dispatches=dispatches)


async def _has_more(model: str, supervisor: Supervisor, standby: Standby, session: Session) -> bool:
    """After a burst: has the runs closed whose work is done, and says whether that gave the model new jobs."""
    from nightjar.jobs.backlog import model_has_work

    async def more() -> bool:
        return supervisor.told or await model_has_work(model, session.database)

    await standby.settle(enough=more)
    return not supervisor.told and await model_has_work(model, session.database)


async def _roam(
    model: str,
    gpu: str | None,
    flags: list[str],
    wanted: str | None,
    idle_exit: float | None,
    *,
    dispatches: bool,
    live_preempts: bool,
) -> int:
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.workers.process.auto import roam

    if model != "auto":
        await asyncio.to_thread(obtained, model, load_settings())

    async def work(session: Session, standby: Standby | None) -> int:
        idle = await roam(
            session.settings,
            session.database,
            only=None if model == "auto" else model,
            gpu=gpu,
            flags=flags,
            wanted=wanted,
            live_preempts=live_preempts,
            idle_exit_s=idle_exit,
        )
        if idle and standby is not None:
            await standby.settle()
        return 0

    return await _beside_standby(work, dispatches=dispatches)


async def _beside_standby(work: Work, *, dispatches: bool) -> int:
    """The work, and a standby dispatcher unless the process that started this one has its own."""
    from nightjar.scripts.noting_machine import noting_machine
    from nightjar.scripts.standby import standing_by

    async with open_session(service=True) as session, noting_machine(session):
        if not dispatches:
            return await work(session, None)
        async with standing_by(session) as standby:
            return await work(session, standby)
