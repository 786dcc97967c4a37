"""What is known of a model at an endpoint: its server's dialect, what it costs, what it cannot do. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.states import JobKind

MILLION = 1_000_000


class Dialect(StrEnum):
    """Whose form of OpenAI's protocol a server speaks: the `kind` of an endpoint."""

    OPENAI = "openai"
    LLAMA_SERVER = "llama-server"
    VLLM = "vllm"
    OLLAMA = "ollama"
    LMSTUDIO = "lmstudio"


class TokenUse(BaseModel):
    """Tokens of one request. `cached`: of the prompt, and `reasoning`: of the reply; both are parts of the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: int = Field(ge=0)
    cached: int = Field(0, ge=0)
    reply: int = Field(ge=0)
    reasoning: int = Field(0, ge=0)
    estimated: bool = False
    """The server said nothing of it: it was made of the texts' lengths."""


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(None, ge=0)
    """Of prompt tokens that the server had from before; None: as all others."""
    source: str = "models.toml"
    """Who says so."""

    def cost(self, use: TokenUse) -> float:
        """US dollars."""
        cached = min(use.cached, use.prompt)
        rate = self.input if self.cached_input is None else self.cached_input
        return ((use.prompt - cached) * self.input + cached * rate + use.reply * self.output) / MILLION


class RemoteFacts(BaseModel):
    """What only a model behind an endpoint has. The price is frozen in a run with the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    endpoint: str
    """Its name in models.toml."""
    host: str
    dialect: Dialect
    model: str
    """As the endpoint calls it."""
    context: int | None = None
    """Tokens, as the registry has it; None: nobody said."""
    price: Price | None = None
    """None: unknown, which is not nothing."""


_EVERYWHERE = frozenset("temperature top_p frequency_penalty presence_penalty max_tokens stop json_schema".split())
_LLAMA = "top_k min_p typical_p xtc_probability xtc_threshold repeat_penalty repeat_last_n".split()
_DRY = "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers".split()
TAKEN: Mapping[Dialect, frozenset[str]] = {
    Dialect.OPENAI: _EVERYWHERE,
    Dialect.LLAMA_SERVER: _EVERYWHERE | {*_LLAMA, *_DRY, "template"},
    Dialect.VLLM: _EVERYWHERE | {"top_k", "min_p", "repeat_penalty", "template"},
    Dialect.OLLAMA: _EVERYWHERE,
    Dialect.LMSTUDIO: _EVERYWHERE | {"top_k", "repeat_penalty"},
}
"""The generation parameters that a server takes."""
OURS = frozenset({"min_tokens", "time_limit_s", "policy", "retry_empty"})
"""Those that the worker sees to itself."""
NEVER = frozenset({"grammar", "top_logprobs", "logit_bias", "reasoning_budget"})
"""Those without which a reply would not be what was asked for: a remote model is refused where they are set."""
SEEDED = frozenset({Dialect.LLAMA_SERVER, Dialect.VLLM, Dialect.OLLAMA, Dialect.LMSTUDIO})
"""Servers that take a seed."""


def unsent(dialect: Dialect, asked: Iterable[str]) -> tuple[str, ...]:
    """Of the parameters that were set, those that the server is not given, in order."""
    return tuple(sorted(set(asked) - TAKEN[dialect] - OURS))


ROLES: Mapping[JobKind, str] = {JobKind.REPLY: "replies", JobKind.JUDGE: "verdicts", JobKind.EMBED: "embeddings"}
"""What a model is paid for, in words."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What one model's requests of one kind came to in a run. `model` may be a policy."""

    model: str
    kind: JobKind
    requests: int
    usd: float | None
    """None where none of them has a known price."""
    unpriced: int = 0
    """Requests whose price is unknown; `usd` is without them."""
    estimated: int = 0
    """Requests whose use is estimated, lost ones among them."""
    open: int = 0
    """Requests that are under way: they count as all that is reserved."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reply_tokens: int = 0

    @property
    def role(self) -> str:
        """replies, verdicts or embeddings."""
        return ROLES.get(self.kind, str(self.kind))

    def each(self, jobs: int) -> float | None:
        """US dollars a conversation, verdict or comparison; None where nothing is done, or a price is unknown."""
        return self.usd / jobs if self.usd is not None and jobs and not self.unpriced else None


@dataclass(frozen=True, kw_only=True)
class JobSpending:
    """One job's requests. `model` may be a policy, as in `Spending`."""

    job: str
    about: str
    """The conversation (id of its job): itself, or the one that was judged or compared; of a pair the first."""
    model: str
    kind: JobKind
    requests: int
    usd: float | None
    """None where none of them has a known price."""
    unpriced: int = 0
    estimated: int = 0
    open: int = 0


def usd_text(usd: float | None, *, unpriced: int = 0) -> str:
    """ "$0.0042"; "unknown" where nothing has a price, and "at least" where some of it has none."""
    if usd is None:
        return "unknown"
    digits = 2 if usd >= 10 else 4
    if 0 < usd < 1e-4:  # what is not nothing never reads as 0
        digits = 1 - math.floor(math.log10(usd))
    return f"{'at least ' if unpriced else ''}${usd:.{digits}f}"
