"""`nightjar enqueue`: freeze a run and write its jobs."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.run import QueuedRunOptions, RunName, local_deadline, request_options
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.output import Json, emit_json, plain

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.runs.producer import Enqueued
    from nightjar.pipeline.runs.request import EnqueueRequest
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.wait import Ended

app = typer.Typer(add_completion=False)


@app.command()
@takes(QueuedRunOptions, GateOptions)
def enqueue(
    options: QueuedRunOptions,
    gates: GateOptions,
    name: RunName = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the run's end; exit code 1 when a job failed or a gate tripped.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Freeze a run and write its jobs; workers take them from there.

    Example: nightjar enqueue --suite story-starters --model nightjar-demo --repeats 3 --name 'nightly-{date}'
    """
    from nightjar.pipeline.runs.request import make_request
    from nightjar.scripts.session import run_async

    request = make_request(**request_options(options, gates, name=name) | local_deadline(options.deadline))
    failed = run_async(_enqueue(request, wait=wait, as_json=as_json))
    if failed:
        raise typer.Exit(1)


async def _enqueue(request: EnqueueRequest, *, wait: bool, as_json: bool) -> bool:
    """Enqueues, tells, and waits where asked to; True when the run that was waited for did not go well."""
    import asyncio

    from nightjar.pipeline.runs.producer import enqueue
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.fidelity_preflight import check_here
    from nightjar.scripts.options.run import command_notes, local_models
    from nightjar.scripts.session import open_session
    from nightjar.scripts.views.wait import expansion_bar, unserved_notes
    from nightjar.workers.embedder.client import embedder_opener

    async with open_session() as session:
        request = request.model_copy(update={"known_models": local_models(session.settings)})
        apart = await asyncio.to_thread(check_here, request.fidelity_to, request.models, session.settings)
        with expansion_bar() as progress:
            enqueued = await enqueue(
                request,
                session.database,
                closers=this_home(session.settings),
                progress=progress,
                enforceable=check_enforceable,
                embedder=embedder_opener(session.settings),
                usd_per_kwh=session.settings.money.usd_per_kwh,
            )
        notes = [
            *apart,
            *command_notes(request.on_finish, session.settings),
            *(await unserved_notes(enqueued.run, session.settings, session.database)),
        ]
        enqueued = replace(enqueued, warnings=(*enqueued.warnings, *notes))
        if not as_json:
            _tell(enqueued)
        ended = await _wait(enqueued.run, session) if wait else None
        if as_json:
            emit_json({"run": _row(enqueued) | ({} if ended is None else {"status": ended.run.status, **ended.json()})})
        elif ended is not None:
            ended.show()
        return ended is not None and ended.failed


async def _wait(run: Run, session: Session) -> Ended:
    """Waits for the run's end and for those who are told of it, and dispatches where nobody else does."""
    from nightjar.config.errors import SettingsError
    from nightjar.scripts.standby import standing_by
    from nightjar.scripts.views.wait import wait_for_run

    try:
        async with standing_by(session) as standby:
            ended = await wait_for_run(run, session.database)
            await standby.settle(run=run.id)
        return ended
    except SettingsError as error:  # it can wait all the same for those who have the right Redis
        print(plain(f"Note: this command does not dispatch. {error}"), file=sys.stderr)
        return await wait_for_run(run, session.database)


def _row(enqueued: Enqueued) -> dict[str, Any]:
    return {
        "id": enqueued.run.id,
        "name": enqueued.run.name,
        "created": enqueued.created,
        "jobs_total": enqueued.jobs_total,
        "jobs_added": enqueued.jobs_added,
        "warnings": list(enqueued.warnings),
        "changed": list(enqueued.changed),
    }


def _tell(enqueued: Enqueued) -> None:
    run = enqueued.run
    if enqueued.suite_imported:
        _say(f"Imported the suite {run.suite_name!r} that comes with Nightjar.")
    if enqueued.created:
        _say(f"Run {run.name!r}: {how_many(enqueued.jobs_total, 'job')}.")
    elif enqueued.jobs_added:
        _say(f"Run {run.name!r} grew by {how_many(enqueued.jobs_added, 'job')} to {enqueued.jobs_total}.")
    elif not enqueued.changed:
        _say(f"Nothing to do: run {run.name!r} is there with the same content, {run.status}.")
    for change in enqueued.changed:
        _say(f"Run {run.name!r}: {change}.")
    for warning in enqueued.warnings:
        _say(f"Note: {warning}")


def _say(text: str) -> None:
    """Prints at once: with --wait, the run's name is wanted long before the end."""
    print(plain(text), flush=True)
