"""How long an evaluation will take: said before the first token or after three turns, asked about where it is long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.jobs.machines.doing import Activity
from nightjar.jobs.mongo import DatabaseError
from nightjar.jobs.status import forecast

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.progress import EvalProgress
    from nightjar.workers.library.find import ModelEntry
    from nightjar.workers.process.gpus import Pin

LONG_S = 30 * 60.0
"""Whoever sits there is asked before work that takes longer."""
SHORT_S = 60.0
"""What takes no longer is not worth a word once it is under way."""


@dataclass(frozen=True, kw_only=True)
class ModelOutlook:
    """What a model has to do yet. `seconds`: None where nothing is known of its speed or its replies."""

    name: str
    turns: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class RunOutlook:
    """What a run has to do yet."""

    run: Run
    models: tuple[ModelOutlook, ...]

    @property
    def known_s(self) -> float:
        """Of the models of which anything is known."""
        return sum(model.seconds or 0.0 for model in self.models)

    @property
    def unknown(self) -> list[str]:
        return [model.name for model in self.models if model.turns and model.seconds is None]

    def sentence(self, judges: Sequence[str] = ()) -> str:
        """ "Run trial: 2 models x 40 conversations, about 25 min (amber 5 min, birch 20 min)." """
        models, variants = len(self.run.models), len(self.run.variants)
        factors = [how_many(models, "model"), *([how_many(variants, "variant")] if variants else [])]
        each = self.run.jobs_total // (models * max(1, variants))
        what = f"Run {self.run.name}: {' x '.join([*factors, how_many(each, 'conversation')])}"
        waves = self.run.waves
        what += f" (wave {waves.opened} of at most {waves.plan.count})" if waves is not None and not waves.over else ""
        return what + self._time() + (f" Judging by {', '.join(judges)} comes on top." if judges else "")

    def _time(self) -> str:
        left = [model for model in self.models if model.turns]
        known = [(model.name, model.seconds) for model in left if model.seconds is not None]
        if not left:
            return "; nothing is left to generate."
        if not known:
            return ". How long that takes will be known after three turns."
        each = ", ".join(f"{name} {span(seconds)}" for name, seconds in known)
        if self.unknown:
            return f"; about: {each}. How long {', '.join(self.unknown)} will take is known after three turns."
        return f", {about(self.known_s)}{f' ({each})' if len(known) > 1 else ''}."


def span(seconds: float) -> str:
    """ "under a minute", "25 min", "3 h 20 min" """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h" + (f" {rest} min" if rest else "")


def about(seconds: float) -> str:
    """The same as the estimate that it is: "about 25 min"."""
    return span(seconds) if seconds < SHORT_S / 2 else f"about {span(seconds)}"


async def look_ahead(run: Run, entries: Sequence[ModelEntry], flags: WorkerFlags, session: Session) -> RunOutlook:
    """What is to be done, and how long that takes where speeds are stored and replies of the model were seen before."""
    from nightjar.jobs.states import JobKind
    from nightjar.jobs.status import census
    from nightjar.workers.process.gpus import choose_pins, list_cards

    pins = choose_pins(flags.gpu, list_cards())
    models = []
    for entry in {entry.name: entry for entry in entries}.values():
        kinds = (JobKind.REPLY,)
        planned = await census.planned_turns(run.id, entry.name, kinds, session.database)
        made = (await census.count(run.id, session.database, model=entry.name, kind=kinds)).of().committed
        seconds = await _seconds(run, entry, planned - made, pins, flags, session) if planned > made else 0.0
        models.append(ModelOutlook(name=entry.name, turns=planned - made, seconds=seconds))
    return RunOutlook(run=run, models=tuple(models))


async def _seconds(
    run: Run, entry: ModelEntry, turns: int, pins: Sequence[Pin], flags: WorkerFlags, session: Session
) -> float | None:
    """With one worker on each of the pins; one whose speed is not known yet counts as the others."""
    from nightjar.jobs.machines.speeds import known_speed
    from nightjar.workers.process.measuring import speed_key_at

    usual = await forecast.usual_turn(run, entry.name, session.database)
    if usual is None:
        return None
    wanted = entry.load.model_copy(update=flags.load.changes())
    keys = [await asyncio.to_thread(partial(speed_key_at, entry, wanted, pin)) for pin in pins]
    speeds = [await known_speed(key, session.database) for key in keys if key is not None]
    jobs = run.jobs_total // len(run.models)
    at_once = jobs if wanted.slots == "auto" else min(jobs, wanted.slots)
    alone = [forecast.seconds_for(turns, usual, speed, at_once=at_once) for speed in speeds if speed is not None]
    return sum(alone) / len(alone) / len(pins) if alone else None


async def is_agreed(outlook: RunOutlook) -> bool:
    """Asks whether to begin where that takes long and somebody is there to answer."""
    from nightjar.scripts.views.asking import answer_to, can_ask

    if outlook.known_s <= LONG_S or not can_ask():
        return True
    said = await answer_to(f"That takes {about(outlook.known_s)}. Begin? [Y/n] ")
    return said is not None and said.casefold() in ("", "y", "yes")


class LaterOutlook:
    """Says how long a model will take once three of its turns are there, where nothing was known before."""

    def __init__(self, run: Run, unknown: Iterable[str], say: Callable[[str], None], database: Database) -> None:
        self._run = run
        self._unknown = set(unknown)
        self._say = say
        self._database = database
        self._first: EvalProgress | None = None
        self._since = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    def look(self, now: EvalProgress) -> None:
        """Call it at every look at the progress."""
        if now.model not in self._unknown or now.judging:
            return
        if self._first is None or self._first.model != now.model:
            if now.doing.task in (Activity.PREFILL, Activity.GENERATING) or now.tokens:
                self._first, self._since = now, monotonic()
            return
        made, tokens = now.committed - self._first.committed, now.tokens - self._first.tokens
        if made >= forecast.FEWEST_TURNS and tokens > 0:
            self._unknown.discard(now.model)
            task = asyncio.create_task(self._tell(now, made, tokens, monotonic() - self._since))
            self._telling.add(task)  # else nothing holds it
            task.add_done_callback(self._telling.discard)

    async def _tell(self, now: EvalProgress, made: int, tokens: int, took_s: float) -> None:
        usual = None
        with contextlib.suppress(DatabaseError):
            usual = await forecast.usual_turn(self._run, now.model, self._database)
        if usual is None:
            return
        # Replies that are under way have some of their tokens.
        left = (now.total - now.committed + made) * usual.reply_tokens - tokens
        seconds = left * took_s / tokens
        if seconds >= SHORT_S:
            end = " Ctrl-C stops it, and what was generated is kept." if seconds > LONG_S else ""
            self._say(f"{now.model}: {about(seconds)} to go at this speed.{end}")
