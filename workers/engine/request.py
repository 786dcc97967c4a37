"""What is asked of the engine and what comes back. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from nightjar.jobs.models import LoadFacts, ModelFacts, SpeedProbe, ThreadUse
from nightjar.jobs.parameters import FinishReason, Parameters
from nightjar.jobs.records import Timings
from nightjar.workers.engine.markers import Markers


@dataclass(frozen=True, kw_only=True)
class Request:
    """One turn: token ids in, at most `max_tokens` ids out.

    `max_tokens` is already bounded by the room left in the context. `parameters` gives sampling, stop strings,
    grammar or schema and limits. `reasoning_open` says the prompt ends inside a reasoning block.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    parameters: Parameters
    seed: int
    reasoning: Markers | None = None
    """How the model writes reasoning; None if it writes none."""
    reasoning_open: bool = False
    final: bool = False
    """No later request will extend this one (a last turn, a judgement): its reply need not be kept in the cache."""
    replies: tuple[tuple[int, int], ...] = ()
    """Where replies of earlier turns stand in the prompt, [start, end): `reproducible` recomputes those id by id."""
    ignore_end: bool = False
    """Goes on past end-of-generation tokens up to `max_tokens`: for measuring speed by equal work."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text to embed: token ids as `Engine.tokenize` gives them."""

    id: str
    ids: tuple[int, ...]


Vector = list[float]
"""A pooled embedding, a unit vector."""


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A finished request. `text` is `token_ids` as text up to a stop string; never part of a stop string."""

    token_ids: tuple[int, ...]
    """Generated ids without the end-of-generation token; with the tokens of a stop string."""
    text: str
    finish_reason: FinishReason
    stop_string: str | None = None
    prompt_tokens: int
    reused_tokens: int
    timings: Timings
    mean_logprob: float | None = None
    """Of `token_ids`, natural logarithm; where `top_logprobs` asked for it."""
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Given texts to score: how likely each continuation is after the one context that they share."""

    id: str
    context: tuple[int, ...]
    """Not empty: a first token has nothing that it could follow."""
    continuations: tuple[tuple[int, ...], ...]
    """None of them empty."""
    top: int = 0
    """How many of the likeliest ids are wanted in the place of each one."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One continuation: a value for each of its ids."""

    logprobs: tuple[float, ...]
    """Natural logarithms, of the model's plain distribution: no temperature, no penalty."""
    greedy: tuple[bool, ...]
    """Whether the id is the likeliest there."""
    likeliest: tuple[tuple[tuple[int, float], ...], ...] = ()
    """The likeliest ids there with their logarithms, the likeliest first; empty unless `top` asked for them."""


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """What scoring one request gave, and what it took. Tokens."""

    scored: tuple[Scored, ...]
    """In the order of the continuations."""
    layout: str
    """`resumed`: one continuation after the other; `branches`: all in one batch. A comparison uses one of them."""
    computed_tokens: int
    reused_tokens: int
    """Of all its texts, each with its context, those that were computed once for several, for others, or before."""


class TextTap(Protocol):
    """Where a request's text goes while it is generated."""

    @property
    def wanted(self) -> bool:
        """Whether it goes there as it comes; else all of it at the end. It may change meanwhile."""

    def take(self, text: str) -> None:
        """The next text that is certain, in the event loop; nothing is left out. It neither waits nor raises."""


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """Counters since load, and the present moment. Tokens unless the name says otherwise."""

    slots: int = 0
    slots_used: int = 0
    waiting: int = 0
    steps: int = 0
    last_step_age_s: float = 0.0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    forced_tokens: int = 0
    """Of replies, those that a grammar left no choice about."""
    reused_tokens: int = 0
    dropped_tokens: int = 0
    """Generated for requests that were cancelled or failed."""
    requests_done: int = 0
    holding: frozenset[str] = field(default_factory=frozenset)
    """Ids of the requests waiting or running."""
    prompts: int = 0
    """How many requests have a prompt that is being computed."""
    prompts_tokens: int = 0
    """Of the prompts that are being computed, in all."""
    prompts_done: int = 0
    """Of those, how many are in the cache."""
    threads: ThreadUse | None = None
    """None where their number is fixed."""
    paused: str | None = None
    """Why nothing is asked of the model for a while (an endpoint that refuses); None while all is well."""
    refused: bool = False
    """It is paused until somebody acts."""
    failure: str | None = None
    """Why the engine has stopped for good; None while it works."""


class Tokenizer(Protocol):
    """The model's own tokenizer."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Ids of `text`; never adds BOS. `parse_special` recognises control tokens written out in the text."""

    def detokenize(self, ids: tuple[int, ...] | list[int]) -> str:
        """Text of ids; control tokens render as nothing, invalid UTF-8 as U+FFFD."""

    @property
    def bos(self) -> int | None:
        """The BOS id where the model wants one added to a plain text (`add_bos_token`), else None."""

    @property
    def special_texts(self) -> tuple[str, ...]:
        """How the vocabulary's control tokens are written."""


class Engine(Protocol):
    """One loaded model. Requests may be submitted from any task of one event loop."""

    facts: ModelFacts
    load: LoadFacts
    chat_template: str | None
    """The file's `tokenizer.chat_template`, not rendered."""
    bos_text: str
    eos_text: str

    @property
    def tokenizer(self) -> Tokenizer: ...

    async def generate(self, request: Request, tap: TextTap | None = None) -> Generation:
        """Waits for the reply, whose text goes to the tap. Cancelling the awaiting task frees the slot within one step.

        Raises ContextError if the prompt does not fit, ParameterError for a value, grammar or schema that cannot be
        used, ModelError if the model cannot do what is asked at all (an embedding model cannot generate), and
        EngineError if decoding failed, or the engine is draining, closed or has stopped. Where a grammar lets no token
        come, the reply ends, with the finish reason `grammar`.
        """

    def stream(self, request: Request) -> AsyncIterator[str]:
        """Yields text as soon as it is certain: whole UTF-8 characters, never part of a stop string."""

    def tokenize(self, text: str) -> list[int]:
        """Ids of a plain text with the control tokens that the model wants around one; from any thread."""

    async def embed(self, texts: list[list[int]]) -> list[Vector]:
        """One pooled embedding per token sequence. Raises like `generate`; ModelError for a model that generates."""

    def stats(self) -> EngineStats: ...

    async def score(self, request: ScoreRequest) -> ScoreResult:
        """How likely the continuations are. Cancelling the awaiting task ends it within a step.

        Raises ContextError for a context or continuation that is empty or does not fit, ParameterError for ids of
        another vocabulary, ModelError for an embedding model, and EngineError as `generate` does.
        """

    async def probe(self) -> SpeedProbe:
        """Measures speed while nothing else runs: see `speed`. Cancelled, it ends within a step."""

    async def close(self) -> None:
        """Cancels what runs, frees the context, ends the thread. Idempotent."""
