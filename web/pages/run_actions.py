"""What is done about a run: pause, resume, cancel, retry, judge again, make it a baseline or none, delete it."""

from __future__ import annotations

import asyncio

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.nights.baselines import clear_baselines_of
from nightjar.jobs.runs import control
from nightjar.jobs.runs.removal import remove_run
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, post_action
from nightjar.web.pages.words import run_address
from nightjar.workers.library.registry import read_registry

PATIENCE_S = 2.0
"""A removal that takes longer goes on by itself; a dispatcher finishes it where this process ends."""


async def _run(visit: Visit, *, removing: bool = False) -> Run:
    return await find_run(visit.path["name"], visit.site.database, removing=removing)


async def _pause(visit: Visit) -> Done:
    run = await control.pause(await _run(visit), visit.site.database)
    return Done(said=f"{run.name} is paused.", about=run.name)


async def _resume(visit: Visit) -> Done:
    run = await control.resume(await _run(visit), visit.site.database)
    return Done(said=f"{run.name} goes on.", about=run.name)


async def _cancel(visit: Visit) -> Done:
    """Where only judges are at work their judging alone ends, and a dispatcher closes the run by its replies."""
    run = await control.cancel(await _run(visit), visit.site.database)
    return Done(said=f"{run.name} is {run.status.lower()}.", about=run.name)


async def _retry(visit: Visit) -> Done:
    run = await _run(visit)
    count = await control.retry(run, visit.site.database, reason=visit.one("reason") or None)
    said = f"Tried again: {how_many(count, 'job')}." if count else "No failed job was found to try again."
    return Done(said=said, about=run.name, details={"jobs": count})


async def do_judge(visit: Visit) -> Done:
    """Has a run judged again by chosen models, by its last rubric or the suite's: no file and no address is taken."""
    from nightjar.pipeline.judging.start import judge_again

    run, judges = await _run(visit), visit.many("judge")
    if not judges:
        raise UsageError("Choose at least one model that judges.")
    known = tuple(read_registry(visit.site.settings.models_file).models)
    own = visit.one("self_judging") == "yes"
    judged = await judge_again(run, judges, None, visit.site.database, known_models=known, self_judging=own)
    said = f"{judged.name} is judged again by {', '.join(judges)}; the judging before counts until that is complete."
    return Done(said=said, about=run.name, to=run_address(run.name), details={"judges": judges})


async def do_make_baseline(visit: Visit) -> Done:
    """Makes a run the baseline of its suite, or of the one that is named."""
    from nightjar.pipeline.compare.baseline import set_baseline  # reads reports, which pages never do

    run = await _run(visit)
    baseline = await set_baseline(run, visit.one("suite") or None, visit.site.database)
    return Done(said=f"{run.name} is the baseline of {baseline.id}.", about=run.name, details={"suite": baseline.id})


async def do_clear_baseline(visit: Visit) -> Done:
    """The run stays; it may be deleted from now on."""
    run = await _run(visit)
    suites = await clear_baselines_of(run.id, visit.site.database)
    said = f"{run.name} is no longer the baseline of {', '.join(suites)}." if suites else f"{run.name} is no baseline."
    return Done(said=said, about=run.name, details={"suites": suites})


async def _remove(visit: Visit) -> Done:
    run = await _run(visit, removing=True)
    removal = asyncio.create_task(remove_run(run, visit.site.database))
    visit.site.keep(removal)
    done, _ = await asyncio.wait({removal}, timeout=PATIENCE_S)
    said = f"{run.name} is being deleted."
    if done:
        said = f"{run.name} is deleted, with {how_many(removal.result(), 'job')}."
    return Done(said=said, about=run.name, to="/runs")


ROUTES = (
    post_action("/runs/{name}/pause", Action.RUN, _pause),
    post_action("/runs/{name}/resume", Action.RUN, _resume),
    post_action("/runs/{name}/cancel", Action.RUN, _cancel),
    post_action("/runs/{name}/retry", Action.RUN, _retry),
    post_action("/runs/{name}/judge", Action.RUN, do_judge),
    post_action("/runs/{name}/baseline", Action.RUN, do_make_baseline),
    post_action("/runs/{name}/clear-baseline", Action.RUN, do_clear_baseline),
    post_action("/runs/{name}/remove", Action.REMOVE, _remove),
)
