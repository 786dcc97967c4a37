"""The checks of `nightjar doctor` on models and work: what is broken, waits forever, or has died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.config.errors import NightjarError
from nightjar.jobs.states import WorkerStatus
from nightjar.scripts.doctor.check import Check, gib

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.machines.worker_documents import CrashDocument
    from nightjar.jobs.status.views import Overview, QueueView, WorkerView
    from nightjar.workers.library.inventory import Held

CRASHES_OF_S = 86_400
NAMES_SHOWN = 8


def model_checks(settings: Settings) -> Iterator[Check]:
    """Checks that the registry and model files exist, are readable, and fit this machine. Loads no model."""
    from nightjar.workers.library.inventory import ModelState, inventory

    try:
        held = inventory(settings)
    except NightjarError as error:
        yield Check(name="models", state="problem", found="the registry cannot be read", remedy=str(error))
        return
    ready = [model.name for model in held if model.state is ModelState.READY]
    fetchable = sum(model.state is ModelState.AVAILABLE for model in held)
    counts = f"{len(ready)} here{_listed(ready)}" + (f", {fetchable} more can be fetched" if fetchable else "")
    remedy = None if ready else "`nightjar model recommend` names models that fit this machine, `model pull` gets one."
    yield Check(name="models", state="fine" if ready else "warning", found=counts, remedy=remedy)
    for model in held:
        if model.state is ModelState.FAILED:
            remedy = f"{model.reason or 'Its file cannot be used.'} `nightjar model rm {model.name}` forgets it."
            yield Check(name=f"model {model.name}", state="problem", found="cannot be used", remedy=remedy)
        elif model.state is ModelState.READY and (check := _size(model, settings)) is not None:
            yield check


def _size(model: Held, settings: Settings) -> Check | None:
    """A warning if one conversation does not fit the memory of a machine without GPUs."""
    from nightjar.config.hardware import memory_limit
    from nightjar.workers.process.gpus import list_cards
    from nightjar.workers.process.survey import loadable

    needed, limit = loadable(model.name, None, settings).memory_bytes, memory_limit()
    if needed is None or needed <= limit or list_cards():
        return None
    return Check(
        name=f"model {model.name}",
        state="warning",
        found=f"needs {gib(needed)} for one conversation, this machine has {gib(limit)}",
        remedy="Take a smaller quantisation, or a smaller context: `nightjar model info` shows what each takes.",
    )


def work_checks(overview: Overview, crashes: Sequence[CrashDocument]) -> Iterator[Check]:
    """Checks whether MongoDB takes writes, then queues, workers, dispatcher, dead jobs and crashes."""
    mongo = overview.services["mongo"]
    if not mongo.ok:
        remedy = "Look into MongoDB's log; on a full disk make room. Work goes on by itself."
        yield Check(name="mongo writes", state="problem", found=mongo.reason or "refused", remedy=remedy)
    if not overview.queues:
        yield Check(name="queues", state="fine", found="nothing waits")
    for queue in overview.queues:
        yield _queue(queue)
    for run in overview.runs:
        if run.wait is not None:
            remedy = "Start one: nightjar dispatcher (a worker of the same home is one, too)"
            yield Check(name=f"run {run.name}", state="problem", found=f"goes no further: {run.wait}", remedy=remedy)
    yield from _workers(overview.workers)
    yield from _failures(overview)
    if overview.dead:
        count = sum(dead.count for dead in overview.dead)
        name = overview.dead[0].run
        remedy = f"`nightjar run show {name}` tells why, `nightjar run retry {name}` tries them again."
        yield Check(name="dead jobs", state="warning", found=f"{count}, in run {name} first", remedy=remedy)
    if crashes:
        last = crashes[0]
        by = "by itself" if len(crashes) == 1 else "by themselves"
        deaths = f"{how_many(len(crashes), 'worker process')} ended {by} in the last day; the last {last.reason}"
        remedy = f"It was {last.worker}. `nightjar run show RUN --job JOB` shows what it last wrote."
        yield Check(name="crashes", state="warning", found=deaths, remedy=remedy)


def _failures(overview: Overview) -> Iterator[Check]:
    for chore in overview.chores:
        remedy = f"The log of {chore.process} has the traceback; what is not affected goes on."
        state = "problem" if chore.failing else "warning"
        yield Check(name=f"chore {chore.chore}", state=state, found=chore.sentence(), remedy=remedy)
    for sentence in overview.unreadable:
        remedy = "Where a newer Nightjar wrote it, upgrade this installation; else it is damaged: mend or remove it."
        yield Check(name="unreadable", state="problem", found=sentence, remedy=remedy)


def _queue(queue: QueueView) -> Check:
    waiting = f"{queue.waiting} wait" + (f": {queue.reason}" if queue.reason else " and are about to start")
    remedy = None
    if queue.stalled:
        remedy = f"Start one: nightjar worker --model {queue.model}"
        if queue.reason == "redis down":
            remedy = "Mend Redis (above): waiting jobs then start by themselves."
        elif queue.reason == "no dispatcher runs":
            remedy = "Start one: nightjar dispatcher"
        elif queue.reason and queue.reason.startswith("nobody rings"):
            remedy = "Look into the dispatcher's log: it reaches MongoDB and not Redis. Start another where both are."
    return Check(
        name=f"queue {queue.model}", state="problem" if queue.stalled else "fine", found=waiting, remedy=remedy
    )


def _workers(workers: Sequence[WorkerView]) -> Iterator[Check]:
    live = [worker for worker in workers if worker.state.alive]
    yield Check(name="workers", state="fine", found=f"{len(live)} at work{_listed([worker.model for worker in live])}")
    for worker in workers:
        if worker.state is WorkerStatus.STALLED:
            pid = worker.id.split(":")[1] if worker.id.count(":") == 2 else worker.id
            remedy = f"If it stays so, on {worker.host}: kill -9 {pid}. Its supervisor starts another; no job is lost."
        elif worker.state is WorkerStatus.FAILED:
            remedy = "Mend the cause, then start it again."
        else:
            continue
        reason = f"{worker.state}: {worker.reason or 'no reason known'}"
        yield Check(name=f"worker {worker.model}", state="warning", found=reason, remedy=remedy)


def _listed(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = ", ..." if len(unique) > NAMES_SHOWN else ""
    return f" ({', '.join(unique[:NAMES_SHOWN])}{more})" if unique else ""
