"""What is asked live of a model besides replies: embeddings, token ids, a rendered prompt, likelihoods. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.jobs.accounts.token_ledger import TokenPayer
from nightjar.jobs.models import ModelKind


class TaskKind(StrEnum):
    """Given -> result, by their fields."""

    EMBED = "embed"
    """texts -> vectors (each the bytes of float32, little-endian), tokens (of all)."""
    TOKENIZE = "tokenize"
    """text or sequence, add_special -> ids, context."""
    DETOKENIZE = "detokenize"
    """ids -> text."""
    VOCABULARY = "vocabulary"
    """Nothing -> bos_text, eos_text, add_bos, chat_template, size, context."""
    RENDER = "render"
    """sequence -> text."""
    COMPLETE = "complete"
    """text or ids, echo, likely (null: no log-probabilities), max_tokens (0: nothing follows), parameters, seed -> what
    `conversation.given_text` says."""


@dataclass(frozen=True, kw_only=True)
class LiveTask:
    """One such question; `given` is stored as it is until the answer has been handed out."""

    user: str
    model: str
    kind: TaskKind
    given: Mapping[str, Any] = field(default_factory=dict)
    request: str | None = None
    """Id of the HTTP request that it is part of, as the log has it."""
    payer: TokenPayer | None = None
    """None: it came with no API token."""

    def check(self, model: ModelKind) -> None:
        """Raises UsageError where that kind of model cannot do it."""
        if self.kind is TaskKind.EMBED and model is not ModelKind.EMBEDDING:
            raise UsageError(f"{self.model!r} generates text; embeddings need an embedding model.")
        if self.kind is TaskKind.COMPLETE and model is ModelKind.EMBEDDING:
            raise UsageError(f"{self.model!r} is an embedding model: it goes on with no text. Choose a chat model.")
        if (self.kind is TaskKind.RENDER or "sequence" in self.given) and model is not ModelKind.CHAT:
            raise UsageError(f"{self.model!r} has no chat template.")
