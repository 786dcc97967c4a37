"""What is recorded of a job: its turns and its attempts. Pure; stored inside the job document."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.parameters import FinishReason, ParameterSource, Policy


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timings(Record):
    """Seconds. queue: waiting for a slot; prefill: prompt computed; decode: first to last token."""

    queue_s: float
    prefill_s: float
    decode_s: float
    first_token_s: float | None = None
    """From submission to the first token; None when there was none."""

    @property
    def total_s(self) -> float:
        return self.queue_s + self.prefill_s + self.decode_s


class Draw(Record):
    """One generation for a turn. A turn keeps every draw; the first is the one that is scored."""

    seed: int
    reply: str
    """Visible text: reasoning taken out."""
    reasoning: str = ""
    reply_ids: tuple[int, ...]
    """All generated ids, reasoning included, the end-of-generation token excluded."""
    raw_text: str
    """Text of `reply_ids` up to a stop string: what the history hands to the template."""
    finish_reason: FinishReason
    stop_string: str | None = None
    """The stop string that ended it; `reply_ids` may hold its tokens."""
    reasoning_tokens: int = 0
    empty: str | None = None
    """Reason, where the reply has no visible text ("no text", "reasoning block never closed")."""
    degenerate: str | None = None
    """Reason, where the reply is degenerate ("3 tokens, min_tokens is 10", "20-token span 5 times running")."""
    mean_logprob: float | None = None
    timings: Timings


class Summary(Record):
    """What the model wrote in place of something that did not fit the context, as a generation of its own."""

    turns: tuple[int, ...] = ()
    """The turns it stands for; none where it stands for a document."""
    document: str | None = None
    part: int = 0
    """Long texts are summarised in parts, each on its own; the parts follow one another."""
    text: str
    tokens_before: int
    """Tokens of what it stands for."""
    tokens_after: int
    prompt_digest: str
    seed: int
    finish_reason: FinishReason
    timings: Timings


class TurnRecord(Record):
    """A committed turn. The first draw is its reply; history and scores use that one."""

    index: int
    name: str | None = None
    prompt: str
    """The user message, as given to the template (documents put in)."""
    draws: tuple[Draw, ...] = Field(min_length=1)
    prompt_tokens: int
    reused_tokens: int
    """Prompt tokens taken from the KV cache instead of being computed."""
    prompt_digest: str
    reprefill_reason: str | None = None
    """Why the prompt was tokenised anew instead of extending the last turn's ids; None where it extends."""
    policy: Policy
    dropped_turns: tuple[int, ...] = ()
    summaries: tuple[Summary, ...] = ()
    """Made for this turn (policy summarise); later turns go on using them."""
    system_merged: bool = False
    """The template refused a system message; it went into the first user message."""
    parameters: dict[str, Any]
    sources: dict[str, ParameterSource]
    chain: str
    """Hash chain over the transcript, `identity.chain_digest`."""
    fence: int
    worker: str
    committed_at: datetime

    @property
    def draw(self) -> Draw:
        return self.draws[0]


class Similarity(Record):
    """How like others a reply is: cosines of embeddings, -1 to 1; None where there is nothing to compare with."""

    turn: int
    reference: float | None = None
    previous: float | None = None
    """The reply of the turn before, in the same conversation."""
    parts: int = 1
    """A reply longer than the model's context was embedded in so many parts."""


class AttemptEnd(StrEnum):
    DONE = "done"
    ERROR = "error"
    LAPSED = "lapsed"
    CRASHED = "crashed"
    RELEASED = "released"
    LOST = "lost"


class Attempt(Record):
    """One execution of a job."""

    fence: int
    worker: str
    host: str
    started_at: datetime
    ended_at: datetime | None = None
    end: AttemptEnd | None = None
    error: str | None = None
    """Error class and message, one paragraph."""
    turns_committed: int = 0
