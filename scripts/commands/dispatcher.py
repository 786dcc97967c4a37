"""`nightjar dispatcher`: keep the queues topped up from MongoDB."""

from __future__ import annotations

import asyncio
import signal

import typer

from nightjar.scripts.session import open_session, run_async

app = typer.Typer()


@app.command(epilog="Example: nightjar dispatcher")
def dispatcher() -> None:
    """Rings for due jobs, takes back lapsed leases, fires schedules and closes runs. Any number may run."""
    run_async(_dispatch())


async def _dispatch() -> None:
    from nightjar.config.settings import load_settings
    from nightjar.pipeline.dispatch.dispatcher import Dispatcher
    from nightjar.pipeline.scoring.plugins import user_scorers

    user_scorers(load_settings().scorers)  # one that is broken is named now, not when a run is to be closed
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with open_session(redis=True, service=True) as session:
        await Dispatcher(session.database, session.doorbell, session.settings).run(stop)
