"""How long an evaluation will take: said before the first token or after three turns, asked about where it is long."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.jobs.machines.doing import Activity
from nightjar.jobs.mongo import DatabaseError
from nightjar.jobs.states import JobKind
from nightjar.jobs.status import forecast

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.expected_turns import ExpectedTurns
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.progress import EvalProgress
    from nightjar.workers.library.find import ModelEntry
    from nightjar.workers.process.gpus import Pin

LONG_S = 30 * 60.0
"""Whoever sits there is asked before work that takes longer."""
SHORT_S = 60.0
"""What takes no longer is not worth a word once it is under way."""
STOPPING = "Ctrl-C stops it, and what was generated is kept."
Phase = tuple[str, bool]
"""A model, and whether it judges."""


@dataclass(frozen=True, kw_only=True)
class ModelOutlook:
    """What a model has to do yet. `seconds`: None where nothing is known of its speed or of its turns."""

    name: str
    turns: int
    seconds: float | None
    judges: bool = False
    longest: bool = False
    """None of its turns was seen yet: `seconds` counts the longest that there may be."""

    @property
    def label(self) -> str:
        return f"judging by {self.name}" if self.judges else self.name

    @property
    def words(self) -> str:
        """ "amber 5 min", "amber up to 20 min" """
        seconds = self.seconds or 0.0
        return f"{self.label} {'up to ' if self.longest and seconds >= SHORT_S / 2 else ''}{span(seconds)}"


@dataclass(frozen=True, kw_only=True)
class RunOutlook:
    """What a run has to do yet."""

    run: Run
    models: tuple[ModelOutlook, ...]
    """Those that judge come last."""

    @property
    def known_s(self) -> float:
        """Of the models of which anything is known."""
        return sum(model.seconds or 0.0 for model in self.models)

    @property
    def unseen(self) -> list[Phase]:
        """The models of which more is known after some turns."""
        unseen = [model for model in self.models if model.turns and (model.seconds is None or model.longest)]
        return [(model.name, model.judges) for model in unseen]

    @property
    def longest(self) -> bool:
        """Whether the longest turns are counted for any model."""
        return any(model.longest for model in self.models)

    @property
    def total(self) -> str:
        """ "about 25 min", "up to 25 min": of what is known."""
        return f"up to {span(self.known_s)}" if self.longest and self.known_s >= SHORT_S / 2 else about(self.known_s)

    def sentence(self, embedder: str | None = None) -> str:
        """ "Run trial: 2 models x 40 conversations, about 25 min (amber 5 min, birch 20 min)." """
        models, variants = len(self.run.models), len(self.run.variants)
        factors = [how_many(models, "model"), *([how_many(variants, "variant")] if variants else [])]
        each = self.run.jobs_total // (models * max(1, variants))
        what = f"Run {self.run.name}: {' x '.join([*factors, how_many(each, 'conversation')])}"
        waves = self.run.waves
        what += f" (wave {waves.opened} of at most {waves.plan.count})" if waves is not None and not waves.over else ""
        return what + self._time() + (f" Embedding by {embedder} comes on top." if embedder else "")

    def _time(self) -> str:
        left = [model for model in self.models if model.turns]
        known = [model for model in left if model.seconds is not None]
        unknown = ", ".join(model.label for model in left if model.seconds is None)
        if not left:
            return "; nothing is left to generate."
        if not known:
            return ". How long that takes will be known after three turns."
        each = ", ".join(model.words for model in known)
        counted = " The longest replies are counted where none was seen yet." if self.longest else ""
        if unknown:
            return f"; about: {each}. How long {unknown} will take is known after three turns.{counted}"
        return f", {self.total}{f' ({each})' if len(known) > 1 else ''}.{counted}"


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


async def look_ahead(
    run: Run, entries: Sequence[ModelEntry], judges: Sequence[ModelEntry], flags: WorkerFlags, session: Session
) -> RunOutlook:
    """What is to be done, and how long that takes where speeds are stored: by turns that were seen before, else by the
    longest that there may be.
    """
    from nightjar.scripts.expected_turns import TurnReader
    from nightjar.workers.process.gpus import choose_pins, list_cards

    pins = choose_pins(flags.gpu, list_cards())
    reader = TurnReader(run, {entry.name: entry.parameters for entry in entries}, session.database)
    models = []
    for judging, named in ((False, entries), (True, judges)):
        for entry in {entry.name: entry for entry in named}.values():
            expected = await (reader.judging(entry.name) if judging else reader.replies(entry.name))
            seconds = await _seconds(entry, expected, pins, flags, session) if expected.count else 0.0
            longest = expected.longest and seconds is not None
            models.append(
                ModelOutlook(name=entry.name, turns=expected.count, seconds=seconds, judges=judging, longest=longest)
            )
    return RunOutlook(run=run, models=tuple(models))


async def _seconds(
    entry: ModelEntry, expected: ExpectedTurns, pins: Sequence[Pin], flags: WorkerFlags, session: Session
) -> float | None:
    """With one worker on each of the pins; one whose speed is not known yet counts as the others."""
    from nightjar.jobs.machines.speeds import known_speed
    from nightjar.workers.process.measuring import speed_key_at

    turn = expected.turn
    if turn is None:
        return None
    wanted = entry.load.model_copy(update=flags.load.changes())
    keys = [await asyncio.to_thread(partial(speed_key_at, entry, wanted, pin)) for pin in pins]
    speeds = [await known_speed(key, session.database) for key in keys if key is not None]
    at_once = expected.jobs if wanted.slots == "auto" else min(expected.jobs, wanted.slots)
    alone = [
        forecast.seconds_for(expected.count, turn, speed, at_once=at_once) for speed in speeds if speed is not None
    ]
    return sum(alone) / len(alone) / len(pins) if alone else None


async def is_agreed(outlook: RunOutlook) -> bool:
    """Asks whether to begin where that takes long. Where nobody is there to answer it begins, and says so."""
    from nightjar.scripts.views.asking import answer_to, can_ask

    if outlook.known_s <= LONG_S:
        return True
    if not can_ask():
        sys.stderr.write("Nobody is here to be asked: it begins.\n")
        return True
    takes = "may take" if outlook.longest else "takes"
    return is_yes(await answer_to(f"That {takes} {outlook.total}. Begin? [Y/n] "))


def is_yes(said: str | None) -> bool:
    """What was typed after [Y/n]; None: the end of what is typed."""
    return said is not None and said.casefold() in ("", "y", "yes")


class LaterOutlook:
    """Says how long a model will take once three of its turns are there, where none was seen before; asks where that is
    long."""

    def __init__(
        self,
        run: Run,
        unseen: Iterable[Phase],
        say: Callable[[str], None],
        database: Database,
        ask: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`ask`: is given the sentence about what takes long, and ends the work where somebody says so; None: it is
        only said.
        """
        self._run = run
        self._unseen = set(unseen)
        self._say = say
        self._ask = ask
        self._database = database
        self._first: EvalProgress | None = None
        self._since = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    def look(self, now: EvalProgress) -> None:
        """Call it at every look at the progress."""
        phase = (now.model, now.judging)
        if phase not in self._unseen:
            return
        if self._first is None or (self._first.model, self._first.judging) != phase:
            if now.doing.task in (Activity.PREFILL, Activity.GENERATING) or now.tokens:
                self._first, self._since = now, monotonic()
            return
        made, tokens = now.committed - self._first.committed, now.tokens - self._first.tokens
        if made >= forecast.FEWEST_TURNS and tokens > 0:
            self._unseen.discard(phase)
            task = asyncio.create_task(self._tell(now, made, tokens, monotonic() - self._since))
            self._telling.add(task)  # else nothing holds it
            task.add_done_callback(self._telling.discard)

    def close(self) -> None:
        """Takes back a question that nobody has answered; the work is over."""
        for task in self._telling:
            task.cancel()

    async def _tell(self, now: EvalProgress, made: int, tokens: int, took_s: float) -> None:
        usual = None
        kind = JobKind.JUDGE if now.judging else JobKind.REPLY
        with contextlib.suppress(DatabaseError):
            usual = await forecast.usual_turn(self._run, now.model, self._database, kind=kind)
        if usual is None:
            return
        # Replies that are under way have some of their tokens.
        left = (now.total - now.committed + made) * usual.reply_tokens - tokens
        seconds = left * took_s / tokens
        who = f"Judging by {now.model}" if now.judging else now.model
        said = f"{who}: {about(seconds)} to go at this speed."
        if seconds > LONG_S and self._ask is not None:
            await self._ask(said)
        elif seconds >= SHORT_S:
            self._say(said + (f" {STOPPING}" if seconds > LONG_S else ""))
