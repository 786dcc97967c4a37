"""Errors in OpenAI's shape. Pure."""

from __future__ import annotations

from typing import Any

from nightjar.config.errors import (
    NotServedError,
    ParameterError,
    QueueFullError,
    RestartedError,
    TokenBudgetError,
    TooLongError,
    UnknownNameError,
    UsageError,
)

_CODES: dict[type[Exception], str] = {
    TooLongError: "context_length_exceeded",
    QueueFullError: "rate_limit_exceeded",
    NotServedError: "model_not_loaded",
    RestartedError: "generation_restarted",
    TokenBudgetError: "rate_limit_exceeded",
    UnknownNameError: "model_not_found",
    ParameterError: "invalid_value",
}
_STATUS_CODES = {401: "invalid_api_key", 403: "insufficient_permissions", 413: "request_too_large"}
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


_PATHS = frozenset({"/v1", "/tokenize", "/detokenize", "/tokenizer_info", "/apply-template"})


class RefusedFieldError(UsageError):
    """A field of a request that is not known, or cannot be used."""

    def __init__(self, message: str, *, param: str | None, code: str = "unsupported_parameter") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def speaks_openai(path: str) -> bool:
    """Whether what asks for this path expects OpenAI's protocol."""
    return path in _PATHS or path.startswith(("/v1/", "/m/"))


def openai_error(status: int, message: str, error: Exception | None = None) -> dict[str, Any]:
    """The body of an answer, and the data of an event in mid-stream. `status`: what it is, or would have been."""
    code = _CODES.get(type(error)) if error is not None else None
    said: dict[str, Any] = {
        "message": message,
        "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None) or code or _STATUS_CODES.get(status),
    }
    if isinstance(error, TooLongError):
        said |= {"param": "messages", "tokens": error.tokens, "context": error.context}
    if isinstance(error, TokenBudgetError) and not error.passing:  # what OpenAI says where credit is used up
        said |= {"type": "insufficient_quota", "code": "insufficient_quota"}
    if isinstance(error, QueueFullError | NotServedError | TokenBudgetError):
        said["retry_after_s"] = error.retry_after_s
    return {"error": said}
