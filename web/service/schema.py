"""Requests of the service before. Fields that it did not have are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Words = Annotated[str, Field(min_length=1)]


class _ServiceRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str | None = None
    seed: int | None = Field(None, ge=0, le=2**31 - 1)


class GenerateRequest(_ServiceRequest):
    """`/generate`."""

    prompt: Words
    max_tokens: int = Field(256, ge=1)
    temperature: float | None = Field(None, ge=0, le=100)


class SummarizeRequest(_ServiceRequest):
    """`/summarize`."""

    context: Words
    max_summary_tokens: int = Field(200, ge=1)


class CompressRequest(_ServiceRequest):
    """`/compress`."""

    context: Words
    max_tokens: int = Field(200, ge=1)


class ExtractRequest(_ServiceRequest):
    """`/extract-parameters`."""

    user_message: Words
    function_schema: dict[str, Any]
