"""Which model a worker with `--model auto` serves next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from nightjar.config.counting import how_many
from nightjar.jobs.models import ModelKind

Capability = Literal["chat", "embedding", "judge"]
SWITCH_FACTOR = 4
"""To switch while work is left, another model's backlog per worker must be this many times the current one's."""
LEAST_STAY_S = 300.0
"""A model is not left for a larger backlog sooner than this: loading would cost more than it gains."""
PREEMPTS_EVERY_S = 600.0
"""A place is taken from its work for a live request at most so often: each time costs a drain and two loads."""
IDLE_S = 10.0
"""A model without waiting jobs is kept this long, in case its queue fills up again."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """One model's waiting work, and whether this worker could do it."""

    model: str
    waiting: int
    """Jobs that are due."""
    kind: ModelKind | None
    """None until a model's facts are published."""
    tags: tuple[str, ...] = ()
    memory_bytes: int | None = None
    """Needed to load it; None if it is not on this host and may not be fetched."""
    workers: int = 0
    """Live workers of this model, this one not counted."""
    failure: str | None = None
    """Why it could not be loaded on this device."""
    pinned: bool = False
    """Somebody wants it loaded whatever waits."""
    live: bool = False
    """A live request asked for it within its idle time."""
    asking: bool = False
    """A live request asks for it now."""

    @property
    def rank(self) -> int:
        """What goes before what: pinned, asked for, live within its idle time, backlog. A model that another worker
        serves is there already.
        """
        ranks = (self.live, self.asking, self.pinned)
        return 0 if self.workers else max((rank for rank, holds in enumerate(ranks, start=1) if holds), default=0)


@dataclass(frozen=True, kw_only=True)
class Present:
    """What this worker serves now."""

    model: str
    loaded_s: float
    """Seconds since it was loaded."""
    idle_s: float
    """Seconds since it last had a job."""
    yields: bool = False
    """Though it is at work, it makes room for a model that a live request asks for now (`--live-preempts`)."""


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """The model to serve, or None, and why: for the log and for `nightjar status`."""

    model: str | None
    reason: str
    work: bool
    """Whether any jobs wait that this worker could do, whatever the model."""
    preempts: bool = False
    """The place is taken from what it works at."""


def choose_model(
    backlogs: Iterable[Backlog],
    *,
    room_bytes: int,
    capability: Capability | None = None,
    present: Present | None = None,
) -> ModelChoice:
    """The model with the largest backlog per worker that fits `room_bytes` and has the capability; before that, one
    that is pinned or wanted live. A place that is at work is not taken from it, unless it yields to live requests.

    With hysteresis: waiting work of the current model is finished first, unless another backlog is `SWITCH_FACTOR`
    times larger and the current model was loaded `LEAST_STAY_S` ago; an idle model is kept for `IDLE_S`.
    """
    every = list(backlogs)
    serving = {item.model: item for item in every}
    asked = [item for item in every if item.waiting > 0 or item.rank]
    able = [item for item in asked if _hindrance(item, room_bytes, capability) is None]
    best = max(able, key=lambda item: (item.rank, _load(item), _reversed(item.model)), default=None)
    model, reason = _first(every, best, room_bytes, capability) if present is None else _next(serving, best, present)
    if present is not None and model == present.model and (urgent := _urgent(able, serving, present)) is not None:
        why = f"a live request asks for it, and {present.model} makes room"
        return ModelChoice(model=urgent.model, reason=why, work=True, preempts=True)
    return ModelChoice(model=model, reason=reason, work=best is not None)


def _urgent(able: list[Backlog], serving: dict[str, Backlog], present: Present) -> Backlog | None:
    """The model that a live request asks for and that no place holds, where this place's work makes room for it."""
    own = serving.get(present.model)
    asking = [item for item in able if item.asking and not item.workers and item.model != present.model]
    if not present.yields or not asking or (own is not None and (own.pinned or own.asking)):
        return None
    return max(asking, key=lambda item: (item.pinned, _reversed(item.model)))


def _first(
    every: list[Backlog], best: Backlog | None, room_bytes: int, capability: Capability | None
) -> tuple[str | None, str]:
    if best is None:
        return None, _why_none(every, room_bytes, capability)
    return best.model, _wanted(best) or f"{_waiting(best.waiting)}, more per worker than for any other"


def _next(serving: dict[str, Backlog], best: Backlog | None, present: Present) -> tuple[str, str]:
    """Stay or switch."""
    own = serving.get(present.model)
    if best is None or best.model == present.model:
        return present.model, "no other model that fits has more waiting jobs"
    if own is not None and own.rank >= best.rank and own.rank:
        return present.model, _wanted(own)
    if best.rank and own is not None and (own.waiting or present.idle_s == 0):
        return present.model, f"it is at work; {best.model} is wanted, too"
    if best.rank:
        return best.model, _wanted(best)
    if own is None or own.waiting == 0:
        if present.idle_s < IDLE_S:
            return present.model, f"it has no waiting jobs, for less than {IDLE_S:.0f} s"
        return best.model, f"{best.waiting} jobs wait for it, and {present.model} is done"
    if present.loaded_s < LEAST_STAY_S or _load(best) < SWITCH_FACTOR * _load(own):
        return present.model, _waiting(own.waiting)
    return best.model, f"{_waiting(best.waiting)}, {SWITCH_FACTOR} times more per worker than for {own.model}"


def has_capability(kind: ModelKind | None, tags: Iterable[str], capability: Capability | None) -> bool:
    """Whether a model can be asked for it. An embedding model never chats, and a chat model never embeds."""
    if capability is None:
        return kind is not None
    if capability == "embedding":
        return kind is ModelKind.EMBEDDING
    if capability == "judge":
        return kind is ModelKind.CHAT and "judge" in tags
    return kind in (ModelKind.CHAT, ModelKind.BASE)


def _hindrance(item: Backlog, room_bytes: int, capability: Capability | None) -> str | None:
    """Why this worker cannot serve it; None if it can."""
    if item.failure is not None:
        return item.failure
    if not has_capability(item.kind, item.tags, capability):
        return f"it is no model for {capability}" if item.kind else "nobody has published what it is"
    if item.memory_bytes is None:
        return "it is not on this host"
    if item.memory_bytes > room_bytes:
        return f"it takes {item.memory_bytes / 1e9:.1f} GB of the {room_bytes / 1e9:.1f} GB there are"
    return None


def hindrances(every: Iterable[Backlog], room_bytes: int, capability: Capability | None) -> dict[str, str]:
    """Models with waiting jobs that this worker cannot serve -> why."""
    asked = [item for item in every if item.waiting > 0 or item.rank]
    found = {item.model: _hindrance(item, room_bytes, capability) for item in asked}
    return {model: why for model, why in found.items() if why is not None}


def _why_none(every: list[Backlog], room_bytes: int, capability: Capability | None) -> str:
    waiting = [item for item in every if item.waiting > 0]
    if not waiting:
        return "no model has waiting jobs"
    return "; ".join(f"{item.model}: {_hindrance(item, room_bytes, capability)}" for item in waiting)


def _load(item: Backlog) -> float:
    return item.waiting / (item.workers + 1)


def _wanted(item: Backlog) -> str:
    """Why it is loaded though perhaps no job of a run waits for it; empty where nobody asks for that."""
    return "it is pinned" if item.pinned and item.rank else "a live request asks for it" if item.rank else ""


def _reversed(name: str) -> tuple[int, ...]:
    """Sorts names in reverse, so that the alphabetically first one wins a tie."""
    return tuple(-ord(letter) for letter in name)


def _waiting(jobs: int) -> str:
    return f"{how_many(jobs, 'job')} {'waits' if jobs == 1 else 'wait'} for it"
