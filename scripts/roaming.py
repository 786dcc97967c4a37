"""`nightjar worker --model auto` and `--idle-exit`: places, what they see, and how their workers are started."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.config.errors import UsageError

if TYPE_CHECKING:
    from nightjar.scripts.session import Session
    from nightjar.workers.process.auto import Look, Outlook, Process, ServingPlace
    from nightjar.workers.process.gpus import Pin


async def roam(
    session: Session,
    only: str | None,
    gpu: str | None,
    flags: Sequence[str],
    wanted: str | None,
    idle_exit_s: float | None,
) -> int:
    """Runs the roamer on the chosen cards. `only`: the one model to serve; `flags`: further ones of `nightjar
    worker`. Raises UsageError.
    """
    from nightjar.workers.process.auto import Roamer, ServingPlace, start_worker
    from nightjar.workers.process.gpus import choose_pins, list_cards

    if wanted not in (None, "chat", "embedding", "judge"):
        raise UsageError(f"--for {wanted!r} is not known. Choose one of: chat, embedding, judge.")
    pins = choose_pins(gpu, list_cards())
    places = [ServingPlace(pin=pin, room_bytes=_room(pin, session)) for pin in pins]

    async def start(model: str, pin: Pin) -> Process:
        return await start_worker(model, pin, flags)

    look = _look(session, only)
    return await Roamer(places, look, start, capability=wanted, idle_exit_s=idle_exit_s).run()  # type: ignore[arg-type]


def _room(pin: Pin, session: Session) -> int:
    """Bytes a model may take at this place."""
    from nightjar.config.hardware import memory_limit
    from nightjar.workers.library.fit.hardware import room_of, this_machine

    share = session.settings.model.memory_share
    if pin.card is not None and pin.card.memory_bytes is not None:
        return int(pin.card.memory_bytes * share)
    if pin.cpu_only:
        return int(memory_limit() * share)
    room = room_of(this_machine())
    return int(max(room.gpu, room.host) * share)


def _look(session: Session, only: str | None) -> Look:
    """What a place sees: waiting jobs, what this host could load for them, and who serves them already."""
    from nightjar.workers.process.auto import Outlook
    from nightjar.workers.process.survey import Loadable, backlogs, live_workers, loadable, published, waiting_jobs

    known: dict[str, Loadable] = {}

    async def look(place: ServingPlace, ours: Mapping[str, int]) -> Outlook:
        waiting = await waiting_jobs(session.database)
        if only is not None:
            waiting = {model: jobs for model, jobs in waiting.items() if model == only}
        sure = {model for model, found in known.items() if found.kind and found.memory_bytes is not None}
        new = sorted(set(waiting) - sure)
        facts = await published(new, session.database)
        for model in new:
            known[model] = await asyncio.to_thread(loadable, model, facts.get(model), session.settings)
        live = await live_workers(session.database)
        others = {
            model: max(ours.get(model, 0), live.get(model, 0) - (1 if model == place.model else 0)) for model in waiting
        }
        busy = frozenset(model for model, jobs in waiting.items() if jobs.due or jobs.running)
        return Outlook(backlogs=backlogs(waiting, known, others, place.failures), busy=busy)

    return look
