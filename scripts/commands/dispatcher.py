"""`nightjar dispatcher`: keep the queues topped up from MongoDB."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightjar.config.stopping import follow_parent
from nightjar.scripts.session import open_session, run_async

app = typer.Typer(add_completion=False)
GONE_S = 25.0
"""A dispatcher that is told to end is gone by then, whatever its chores do. Its unit gives it 30 s."""


@app.command(epilog="Example: nightjar dispatcher")
def dispatcher(
    parent: Annotated[int | None, typer.Option(hidden=True, help="End with the process that has this id.")] = None,
) -> None:
    """Rings for due jobs, takes back lapsed leases, fires schedules and closes runs. Any number may run."""
    if parent is not None:
        follow_parent(parent, within_s=GONE_S)
    run_async(_dispatch())


async def _dispatch() -> None:
    from nightjar.config.deadline import heed
    from nightjar.config.settings import load_settings
    from nightjar.config.stopping import end_signals
    from nightjar.jobs.redis_in_use import RedisInUse, mongo_in_use
    from nightjar.pipeline.dispatch.dispatcher import Dispatcher
    from nightjar.pipeline.scoring.plugins import user_scorers
    from nightjar.workers.embedder.client import embedder_opener

    user_scorers(load_settings().scorers)  # one that is broken is named now, not when a run is to be closed
    stop = asyncio.Event()
    for signum in end_signals():
        heed(signum, stop.set, lambda: GONE_S)
    async with open_session(redis=True, service=True) as session:
        mongo = mongo_in_use(session.settings)
        await RedisInUse(doorbell=session.doorbell, database=session.database, mongo=mongo).begin()
        embedder = embedder_opener(session.settings)
        await Dispatcher(session.database, session.doorbell, session.settings, embedder=embedder).run(stop)
