"""`nightjar run`: list, show, wait for, pause, resume, cancel, retry, remove, export and import runs."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.scripts.options.gates import GateOptions
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.output import Json, emit_json, plain

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.jobs.status.job import JobDetail
    from nightjar.jobs.status.run import ListedRun, RunDetail
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.wait import Ended

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Runs: one launch each of a suite on models. RUN is a run's name, its id, or the beginning of its id.",
)

Name = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or id.")]


def on_run(
    name: str, work: Callable[[Run, Session], Awaitable[T]], *, reading: bool = False, removing: bool = False
) -> T:
    """Opens a session, finds the run and returns what `work` makes of it. Raises UnknownNameError.

    `reading`: nothing is written, so that a database of another schema version is refused and not migrated.
    `removing`: a run that is being removed is found, too.
    """
    from nightjar.jobs.lookup import find_run
    from nightjar.scripts.session import open_session, run_async

    async def find_and_work() -> T:
        async with open_session(reading=reading) as session:
            return await work(await find_run(name, session.database, removing=removing), session)

    return run_async(find_and_work())


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 30,
    as_json: Json = False,
) -> None:
    """The newest runs with their progress. Example: nightjar run list"""
    from nightjar.jobs.status.run import list_runs
    from nightjar.scripts.session import open_session, run_async
    from nightjar.scripts.views.run import print_runs

    async def load() -> list[ListedRun]:
        async with open_session(reading=True) as session:
            return await list_runs(limit, session.database)

    runs = run_async(load())
    if as_json:
        emit_json({"runs": [asdict(run) for run in runs]})
    else:
        print_runs(runs)


@app.command()
def show(
    name: Name,
    job: Annotated[
        str | None, typer.Option("--job", help="A job: its id, or SEQUENCE[:MODEL[:REPEAT]]; shows its attempts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a run is made of and how it stands. Example: nightjar run show nightly-2026-11-20 --job 81:story:0"""
    if job is not None:
        _show_job(name, job, as_json=as_json)
        return
    from nightjar.jobs.status.run import describe_run
    from nightjar.scripts.views.run import print_run

    async def describe(run: Run, session: Session) -> RunDetail:
        return await describe_run(run, session.database)

    detail = on_run(name, describe, reading=True, removing=True)
    if as_json:
        emit_json({"run": asdict(detail)})
    else:
        print_run(detail)


def _show_job(name: str, job: str, *, as_json: bool) -> None:
    from nightjar.jobs.lookup import find_job
    from nightjar.jobs.status.job import describe_job
    from nightjar.scripts.views.job import print_job

    async def describe(run: Run, session: Session) -> JobDetail:
        return await describe_job(await find_job(run, job, session.database), session.database)

    detail = on_run(name, describe, reading=True)
    if as_json:
        emit_json({"job": asdict(detail)})
    else:
        print_job(detail)


@app.command()
@takes(GateOptions)
def wait(
    name: Name,
    gates: GateOptions,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds; then exit code 1.")] = None,
    as_json: Json = False,
) -> None:
    """Wait for a run's end; exit code 1 when a job failed, the run stopped, or a gate tripped (its own, and these).

    Example: nightjar run wait nightly-2026-11-21 --fail-below checks:0.8 --max-missing 0.02
    """
    from nightjar.scripts.views.wait import check_asked, judged_by, wait_for_run

    asked = gates.ending()

    async def wait_and_judge(run: Run, session: Session) -> Ended:
        await check_asked(run, asked, session.database)
        ended = await wait_for_run(run, session.database, timeout_s=timeout)
        return await judged_by(ended, asked, session.database)

    ended = on_run(name, wait_and_judge, reading=True)
    if as_json:
        emit_json({"run": {"id": ended.run.id, "name": ended.run.name, "status": ended.run.status, **ended.json()}})
    else:
        ended.show()
    if ended.failed:
        raise typer.Exit(1)


@app.command()
def pause(name: Name) -> None:
    """Stop a run's work within seconds; what is done stays. Example: nightjar run pause nightly"""
    from nightjar.jobs.runs import control

    run = on_run(name, lambda run, session: control.pause(run, session.database))
    print(plain(f"Run {run.name!r} is paused. `nightjar run resume {run.name}` lets it go on."))


@app.command()
def resume(name: Name) -> None:
    """Let a paused or stopped run go on. Example: nightjar run resume nightly"""
    from nightjar.jobs.runs import control

    run = on_run(name, lambda run, session: control.resume(run, session.database))
    print(plain(f"Run {run.name!r} goes on."))


@app.command()
def cancel(name: Name) -> None:
    """End a run for good; its results stay. Example: nightjar run cancel nightly

    Where only judges are at work their judging alone ends: the run is DONE as it was before it, or by its replies.
    """
    from nightjar.jobs.runs import control
    from nightjar.scripts.views.run import cancelled_sentence

    async def end(run: Run, session: Session) -> tuple[Run, Run]:
        return run, await close_here(await control.cancel(run, session.database), session)

    print(plain(cancelled_sentence(*on_run(name, end))))


async def close_here(run: Run, session: Session) -> Run:
    """Closes a run whose judging was cancelled, if this home may; else a dispatcher does."""
    from nightjar.jobs.closers import Closer
    from nightjar.jobs.states import RunStatus
    from nightjar.pipeline.closing.finish import close_now
    from nightjar.pipeline.runs.this_home import this_home

    if run.status is not RunStatus.JUDGING:
        return run
    closer = Closer(here=this_home(session.settings), dispatcher=False)
    owner = f"run-cancel-{secrets.token_hex(6)}"
    return await close_now(run, owner, session.settings.reports_dir, session.database, closer=closer)


@app.command()
def retry(
    name: Name,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead job; also the default.")] = False,
    reason: Annotated[str | None, typer.Option(help="Only dead jobs whose reason begins so.")] = None,
) -> None:
    """Give dead jobs a fresh start, from the turn where they failed. Example: nightjar run retry nightly --dead"""
    from nightjar.jobs.runs import control

    if dead and reason is not None:
        raise UsageError("Give either --dead or --reason.")
    count = on_run(name, lambda run, session: control.retry(run, session.database, reason=reason))
    print(f"Tried again: {how_many(count, 'job')}." if count else "No dead job was found to try again.")


@app.command()
def notify(name: Name) -> None:
    """Call again whom an --on-finish call failed to reach, or may not have. Example: nightjar run notify nightly

    A running dispatcher (also beside a worker) makes the calls, under the same delivery ids.
    """
    from nightjar.jobs.nights.documents import Delivery
    from nightjar.pipeline.notify.deliveries import send_again

    async def call_again(run: Run, session: Session) -> int:
        deliveries = await Delivery.find({"run": run.id}).to_list()
        return sum([await send_again(delivery.id, session.database) for delivery in deliveries])

    count = on_run(name, call_again)
    print(f"Made again by a dispatcher: {how_many(count, 'call')}." if count else "Nobody is left to be called again.")


app.command("tell", hidden=True)(notify)  # its former name, which scripts may still use


@app.command()
def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run that has ended, with its transcripts. Example: nightjar run rm trial-1 --yes

    If it is interrupted, the next `run rm`, `cleanup` or any dispatcher finishes it.
    """
    from nightjar.jobs.runs.removal import remove_run
    from nightjar.jobs.states import RunStatus
    from nightjar.scripts.views.wait import removal_bar

    async def delete(run: Run, session: Session) -> tuple[str, int]:
        if not yes and run.status is not RunStatus.REMOVING:
            typer.confirm(
                plain(f"Delete run {run.name!r} with {how_many(run.jobs_total, 'job')} for good?"), abort=True
            )
        with removal_bar() as progress:
            return run.name, await remove_run(run, session.database, progress)

    removed, count = on_run(name, delete, removing=True)
    print(plain(f"Removed run {removed!r} with {count} jobs."))


@app.command("export")
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="The file. Default: NAME.run.json in this folder.")] = None,
) -> None:
    """Write one file from which another machine can repeat the run. Example: nightjar run export nightly-2026-11-20"""
    from nightjar.scripts.run_repeat import export_to
    from nightjar.scripts.session import run_async

    path = run_async(export_to(name, out))
    print(plain(f"{path}: repeat it elsewhere with `nightjar run import {path.name}`."))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `nightjar run export`.")],
    name: Annotated[str | None, typer.Option(help="Another name for the run.")] = None,
    other_models: Annotated[
        bool, typer.Option("--other-models", help="Take this machine's models although they differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the suite and the run of such a file, to be generated again. Example: nightjar run import nightly.run.json

    Ids and seeds are those of the exported run; a worker takes its jobs from there.
    """
    from nightjar.scripts.run_repeat import import_from
    from nightjar.scripts.session import run_async

    done = run_async(import_from(file, name=name, other_models=other_models))
    run = done.run
    if as_json:
        about = {"id": run.id, "name": run.name, "created": done.created, "jobs_total": run.jobs_total}
        emit_json({"run": {**about, "warnings": list(done.remarks)}})
        return
    what = f"{run.jobs_total} jobs" if done.created else f"it is there already, {run.status}"
    print(plain(f"Run {run.name!r} of suite {done.suite.name}@{done.suite.version}: {what}."))
    for remark in done.remarks:
        print(plain(f"Note: {remark}"))
