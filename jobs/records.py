"""What is recorded about a job: its turns and its attempts. Pure; stored in the job document."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nightjar.jobs.parameters import FinishReason, ParameterSource, Policy
from nightjar.jobs.remote_models import TokenUse

NOTE_CHARS = 2_000
"""Of an error or a reason, at most: what is stored of it is for a person, and may hold a whole turn."""


def cut(text: str, limit: int = NOTE_CHARS) -> str:
    """The text where it is short enough; else its beginning and its end, and how much was left out between them."""
    if len(text) <= limit:
        return text
    end = limit // 4
    return f"{text[: limit - end]} ... ({len(text) - limit} characters left out) ... {text[-end:]}"


class Record(BaseModel):
    """The base of everything here: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Timings(Record):
    """Seconds. queue: waiting for a slot; prefill: computing the prompt; decode: from the first token to the last."""

    queue_s: float
    prefill_s: float
    decode_s: float
    first_token_s: float | None = None
    """From submission to the first token; None if there was none."""

    @property
    def total_s(self) -> float:
        return self.queue_s + self.prefill_s + self.decode_s


class TokenChance(Record):
    """A generated token as text, with its natural logarithm of probability, and the likeliest ones in its place."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


FAULTS = ("empty", "degenerate", "repeats_previous")
"""Fields of a draw that say why its reply is a failure of the model; at most one of them is set."""


MISFIT = "not what its schema asks for"
"""How the reason of a degenerate reply begins that should have kept to a schema, and does not."""


class RemoteCall(Record):
    """What an endpoint said of a draw, and what that cost."""

    expense: str
    """`_id` of its entry in the ledger."""
    model: str | None = None
    """As the answer names it, which need not be what was asked for."""
    fingerprint: str | None = None
    id: str | None = None
    """The endpoint's own name of the answer."""
    use: TokenUse
    usd: float | None
    """US dollars by the run's price; None: the price is unknown."""
    unsent: tuple[str, ...] = ()
    """Parameters of the turn that the endpoint was not given: it does not take them."""
    tool_calls: tuple[dict[str, Any], ...] = ()


class Draw(Record):
    """One generation for a turn. A turn keeps every draw; the first is the one that is scored."""

    seed: int
    reply: str
    """The visible text, without reasoning."""
    reasoning: str = ""
    reply_ids: tuple[int, ...] | None
    """All generated ids, reasoning included, the end-of-generation token excluded. None if they are not known: a remote
    model sends text."""
    reported_tokens: int | None = None
    """How many tokens were generated according to the model's server; needed only if `reply_ids` is None."""
    raw_text: str
    """All generated text up to a stop string: what the history hands to the template."""
    finish_reason: FinishReason
    stop_string: str | None = None
    """The stop string that ended it; `reply_ids` may include its tokens."""
    reasoning_tokens: int = 0
    empty: str | None = None
    """The reason, if the reply has no visible text ("no text", "reasoning block never closed")."""
    degenerate: str | None = None
    """The reason, if the reply is degenerate ("3 tokens, min_tokens is 10", "20-token span 5 times running")."""
    repeats_previous: str | None = None
    """The reason, if the reply is the one before it in the conversation again ("the reply of turn 1 again")."""
    mean_logprob: float | None = None
    chances: tuple[TokenChance, ...] = Field((), exclude_if=lambda chances: not chances)
    """Token by token, where a live request asked for them (`top_logprobs`); evaluations keep the mean alone."""
    timings: Timings
    remote: RemoteCall | None = Field(None, exclude_if=lambda call: call is None)
    """Of a model at an endpoint; left out of what is stored of others."""

    @property
    def reply_tokens(self) -> int:
        """How many tokens were generated, reasoning included."""
        if self.reply_ids is not None:
            return len(self.reply_ids)
        assert self.reported_tokens is not None
        return self.reported_tokens

    @model_validator(mode="after")
    def _tokens_are_counted(self) -> Self:
        if self.reply_ids is None and self.reported_tokens is None:
            raise ValueError("a draw without reply_ids needs reported_tokens")
        return self


class Summary(Record):
    """What the model wrote, in a generation of its own, to stand for something that did not fit the context."""

    turns: tuple[int, ...] = ()
    """The turns it stands for; empty if it stands for a document."""
    document: str | None = None
    part: int = 0
    """Long texts are summarised in parts, each by itself; this is the part's number."""
    text: str
    tokens_before: int
    """How many tokens the original has."""
    tokens_after: int
    prompt_digest: str
    seed: int
    finish_reason: FinishReason
    timings: Timings


class ScoredChoice(Record):
    """How likely the model finds one given continuation."""

    logprob: float
    """Sum over its tokens, natural logarithm."""
    tokens: int
    characters: int
    bytes: int
    """Of the text without its delimiter, in UTF-8."""
    greedy: bool
    """Whether each of its tokens is the likeliest in its place: the model would write it at temperature 0."""
    merged: bool = Field(False, exclude_if=lambda merged: not merged)
    """Its first characters share a token with the end of the context, so that the split is not exact."""


class ScoredText(Record):
    """How likely the model finds a text, and by which rule; see `sequences.TextRule`."""

    logprob: float
    """Sum over the tokens that are scored, natural logarithm."""
    tokens: int
    """How many are scored."""
    left_out: int
    """Tokens of the text that are not."""
    windows: int
    window: int
    score_from: int | None = None
    bos: bool
    words: int
    """Of the whole text: pieces between white space, an empty one at either end included, as lm-eval counts them."""
    bytes: int


class Likelihoods(Record):
    """What a turn with given texts found in the place of a reply."""

    layout: str
    """How the engine computed them: "resumed" or "branches". Comparisons use one."""
    choices: tuple[ScoredChoice, ...] = Field((), exclude_if=lambda choices: not choices)
    """In the order of the turn's choices."""
    text: ScoredText | None = Field(None, exclude_if=lambda text: text is None)


class GivenFact(Record):
    """A fact of a memory, as a conversation was given it."""

    id: str
    text: str


class TurnMemory(Record):
    """A turn's part in a memory: what its prompt had of it, and what was kept of its exchange."""

    name: str
    """The memory's, whole: `jobs.memory.MemoryScope.name`."""
    given: tuple[GivenFact, ...] = ()
    """In the system prompt, in this order; the same in all turns of a conversation."""
    kept: tuple[str, ...] = ()
    chosen_by: str | None = None
    """Digest of the embedding model that chose what was given; None where there was no choice."""


class TurnRecord(Record):
    """A committed turn. The first draw is its reply; history and scores use that one."""

    index: int
    name: str | None = None
    prompt: str
    """The user message as given to the template, with documents filled in; without what was recalled for it."""
    draws: tuple[Draw, ...] = Field(min_length=1)
    prompt_tokens: int
    reused_tokens: int
    """Prompt tokens taken from the KV cache instead of being computed."""
    prompt_digest: str
    reprefill_reason: str | None = None
    """Why the prompt was tokenised again instead of extending the last turn's ids; None if it extends them."""
    policy: Policy
    dropped_turns: tuple[int, ...] = ()
    summaries: tuple[Summary, ...] = ()
    """Made for this turn (policy summarise); later turns keep using them."""
    recalled_turns: tuple[int, ...] = Field((), exclude_if=lambda turns: not turns)
    """Of the dropped turns, those that stood in this prompt again, in front of the user's message (policy recall)."""
    recalled_by: str | None = Field(None, exclude_if=lambda digest: digest is None)
    """Digest of the embedding model that chose them; None where nothing was to be chosen."""
    memory: TurnMemory | None = Field(None, exclude_if=lambda memory: memory is None)
    """None: the conversation had none."""
    system_merged: bool = False
    """The template refused a system message; it went into the first user message."""
    parameters: dict[str, Any]
    sources: dict[str, ParameterSource]
    shared: bool = Field(False, exclude_if=lambda shared: not shared)
    """A live request used the device meanwhile, so that its times say less. Left out of what is stored if not."""
    likelihoods: Likelihoods | None = Field(None, exclude_if=lambda value: value is None)
    """Where given texts were scored; the draw's reply is then the likeliest choice, or nothing."""
    chain: str
    """Its link of the hash chain over the transcript: `identity.chain_digest` of the chain so far and this turn."""
    fence: int
    worker: str
    committed_at: datetime

    @property
    def draw(self) -> Draw:
        """The draw that counts."""
        return self.draws[0]


class Similarity(Record):
    """How similar a reply is to others: cosines of embeddings, -1 to 1; None if there is nothing to compare with."""

    turn: int
    reference: float | None = None
    """To the turn's reference."""
    previous: float | None = None
    """To the reply of the turn before in the same conversation."""
    parts: int = 1
    """How many parts the reply was embedded in; more than one if it is longer than the model's context."""


class AttemptEnd(StrEnum):
    """How an execution of a job ended."""

    DONE = "done"
    ERROR = "error"
    LAPSED = "lapsed"
    CRASHED = "crashed"
    RELEASED = "released"


class Attempt(Record):
    """One execution of a job."""

    fence: int
    worker: str
    host: str
    started_at: datetime
    ended_at: datetime | None = None
    end: AttemptEnd | None = None
    error: str | None = None
    """The error's class and message, in one paragraph."""
    turns_committed: int = 0
