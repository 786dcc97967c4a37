"""What a worker serves, wherever it is computed: a model that replies, or one that embeds. Pure.

An `Engine` speaks token ids. A `Replier` speaks turns and texts, so that a model behind an endpoint can be one too. The
job's life (`workers/process/tasks.py`) knows only what is here: it claims a job, asks for one reply after another, and
makes the records, with fence, worker, time and hash chain, that it commits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import LoadFacts, ModelFacts, SpeedProbe
from nightjar.jobs.parameters import Policy, Resolved
from nightjar.jobs.records import Draw, Likelihoods, Summary, TurnMemory, TurnRecord
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.engine.request import EngineStats, TextTap, Vector


@dataclass(frozen=True, kw_only=True)
class PromptFacts:
    """What is recorded of a turn's prompt; the fields are those of `TurnRecord`."""

    text: str
    """The user message, with documents filled in."""
    tokens: int
    reused_tokens: int = 0
    digest: str
    """Of all that the model was given: of its token ids, or of the messages where there are none."""
    reprefill_reason: str | None = None
    policy: Policy
    dropped_turns: tuple[int, ...] = ()
    recalled_turns: tuple[int, ...] = ()
    recalled_by: str | None = None
    system_merged: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One turn's outcome: every draw, of which the first counts, and what it was made with."""

    prompt: PromptFacts
    draws: tuple[Draw, ...]
    summaries: tuple[Summary, ...] = ()
    """Made for this turn (policy summarise)."""
    memory: TurnMemory | None = None
    parameters: Resolved
    likelihoods: Likelihoods | None = None
    """Where given texts were scored and nothing was generated."""


Watch = Callable[[str], AbstractAsyncContextManager[None]]
"""Entered with a request's id around each generation, so that the job's lease is renewed while the generation makes
progress. Raises LeaseLostError instead of entering if somebody else has the job by now."""


SplitText = Callable[[str], tuple[str, str]]
"""What a reply has written so far, raw -> its reasoning and its visible text, as far as they are certain."""


class Listener(TextTap, Protocol):
    """Whoever wants a reply's text while it grows."""

    def begin(self, split: SplitText) -> None:
        """A generation begins, the first of its turn; what `take` gets from now on is its raw text."""


class Dialogue(Protocol):
    """One job's conversation, opened by a `Replier`."""

    async def reply(self, history: Sequence[TurnRecord], listener: Listener | None = None) -> Reply:
        """The reply to the turn after `history`, which holds all committed turns so far.

        `listener` hears the text of the draw that counts.

        Cancelling it stops the generation. Raises ContextError, ParameterError, TemplateError, ModelError, EngineError,
        and LeaseLostError from `Watch`.
        """


class ServedModel(Protocol):
    """A model that is loaded, or within reach."""

    @property
    def facts(self) -> ModelFacts: ...

    @property
    def load(self) -> LoadFacts: ...

    def stats(self) -> EngineStats:
        """Counters, and the requests held. A `failure` in it means that no reply will ever come: the worker ends."""

    async def probe(self) -> SpeedProbe | None:
        """Measures its speed, where that makes sense; nothing else should run. Cancelled, it ends soon."""

    async def close(self) -> None:
        """Cancels what runs and frees everything. Idempotent."""


@runtime_checkable
class Replier(ServedModel, Protocol):
    """A model that replies to REPLY and JUDGE jobs."""

    async def open(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> Dialogue:
        """Prepares the job's conversation, its committed turns included, without taking a slot.

        Raises TemplateError if the model cannot hold such a conversation.
        """


@runtime_checkable
class LikelihoodModel(ServedModel, Protocol):
    """A model that says how likely given texts are: one that is loaded; servers elsewhere tell too little."""

    async def open_scoring(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> Dialogue:
        """The job's turns, each scored by itself; a `Reply` of it has `likelihoods`.

        Raises TemplateError as `Replier.open` does.
        """


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A text's embedding, a unit vector."""

    vector: Vector
    parts: int = 1
    """How many parts the text was embedded in; more than one if it is longer than the model's context."""


@runtime_checkable
class Pausing(Protocol):
    """A served model that may be paused for a while: `EngineStats.paused`."""

    async def look_again(self) -> None:
        """Call it every second: ends a pause that is over."""


class EmbedsTexts(Protocol):
    """What embeds."""

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding per text, nothing cut off. Raises ContextError, ModelError, EngineError."""


@runtime_checkable
class Embedder(ServedModel, EmbedsTexts, Protocol):
    """A model that embeds texts, for EMBED jobs."""


@runtime_checkable
class PaidEmbedder(Embedder, Protocol):
    """One that enters every request in the ledger, and so must know whose it is."""

    def on_behalf_of(self, job: Job, run: Run) -> EmbedsTexts:
        """What embeds for this job."""
