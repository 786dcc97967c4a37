"""Why a live request was not taken in time: what is in the way, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import NotServedError
from nightjar.jobs.backlog import live_workers
from nightjar.jobs.machines.auto_workers import live_autos
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import RunView, ServiceState

SOON_S = 10.0
"""When to ask again where nothing says how long it takes."""
LATEST_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class _InTheWay:
    run: RunView
    models: str


async def why_not_served(model: str, waited_s: float, database: Database) -> NotServedError:
    """The error that tells it."""
    waited = f"No worker took the request for {model!r} within {waited_s:.0f} s"
    serving = await live_workers(database)
    if serving.get(model):
        return NotServedError(
            f"{waited}: all slots of its {'workers' if serving[model] > 1 else 'worker'} are taken. Ask again in "
            f"{SOON_S:.0f} s; `nightjar worker --live N` keeps slots for live requests.",
            retry_after_s=SOON_S,
        )
    autos = await live_autos(database)
    cannot = [auto.cannot[model] for auto in autos if model in auto.cannot]
    if not autos or len(cannot) == len(autos):
        why = f"none can load it here: {cannot[0]}" if cannot else "no worker is there that would load it"
        return NotServedError(f"{waited}: {why}. Start one: nightjar worker --model {model}", retry_after_s=SOON_S)
    busy = await _in_the_way(set(serving), database)
    if busy is None:
        return NotServedError(
            f"{waited}: it is being loaded, or other models are in use. Ask again soon.", retry_after_s=SOON_S
        )
    eta_s = busy.run.eta_s
    takes = "how long it will take is not known yet" if eta_s is None else f"about {_minutes(eta_s)} are left of it"
    again_s = min(LATEST_S, max(SOON_S, eta_s or SOON_S))
    room = [auto.preempts_in_s for auto in autos if auto.preempts_in_s is not None and model not in auto.cannot]
    yields = ""
    if room:
        in_s = max(SOON_S, min(room))
        yields = f" A place makes room for a live request once in ten minutes, and may next in {_minutes(in_s)}."
        again_s = min(in_s, again_s) if eta_s is not None else in_s
    return NotServedError(
        f"{waited}: run {busy.run.name!r} works with {busy.models} on every place, and {takes}.{yields}",
        retry_after_s=again_s,
        run=busy.run.name,
        eta_s=eta_s,
    )


async def _in_the_way(models: set[str], database: Database) -> _InTheWay | None:
    """The run that keeps the loaded models busy: the first in the order in which runs are worked on."""
    overview = await read_overview(database, ServiceState(ok=True))
    for run in overview.runs:
        query = {"run": run.id, "status": JobStatus.RUNNING, "model": {"$in": sorted(models)}}
        if run.jobs[JobStatus.RUNNING] and (names := await database.jobs.distinct("model", query)):
            return _InTheWay(run=run, models=", ".join(sorted(names)))
    return None


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes > 1 else f"{max(1, round(seconds))} seconds"
