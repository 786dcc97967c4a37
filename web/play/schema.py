"""What the playground's page sends. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_MODELS = 6


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlayMessage(_Said):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class PlayAsk(_Said):
    """One model and the conversation that it is to reply to; without a seed any will do."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[PlayMessage], Field(min_length=1)]
    seed: int | None = Field(None, ge=0, le=2**31 - 1)

    def said(self) -> list[dict[str, Any]]:
        return [message.model_dump() for message in self.messages]


class PlayParameters(_Said):
    """How replies are drawn; what is not given is the model's own."""

    temperature: float | None = Field(None, ge=0, le=100)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)


class PlayRequest(_Said):
    """`/play/ask`."""

    asks: Annotated[list[PlayAsk], Field(min_length=1, max_length=MOST_MODELS)]
    parameters: PlayParameters = PlayParameters()
    memory: str | None = None
    """The memory that facts are given from and kept in; None: none is used."""
