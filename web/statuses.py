"""Which HTTP status an error of ours is. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nightjar.config.errors import (
    LiveError,
    NotServedError,
    QueueFullError,
    RunConflictError,
    ServiceError,
    TemplateError,
    TokenBudgetError,
    TooLongError,
    UnknownNameError,
    UsageError,
)
from nightjar.jobs.mongo import DatabaseError

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UnknownNameError, 404),
    (RunConflictError, 409),
    (UsageError, 400),
    (TooLongError, 400),
    (TemplateError, 400),
    (QueueFullError, 429),
    (NotServedError, 503),
    (LiveError, 500),
    (ServiceError, 503),
    (DatabaseError, 503),
)

AGAIN_S = 5
"""When it makes sense to ask again where a server of ours is away: they are started again at once."""


def status_of_error(error: Exception) -> int:
    """The HTTP status; 500 for what nobody expects."""
    if isinstance(error, TokenBudgetError):
        return 402 if error.money and not error.passing else 429
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def retry_headers(error: Exception) -> Mapping[str, str]:
    """When to ask again, where the error says so."""
    if isinstance(error, QueueFullError | NotServedError):
        return {"retry-after": str(math.ceil(error.retry_after_s))}
    if isinstance(error, TokenBudgetError) and error.retry_after_s is not None:
        return {"retry-after": str(math.ceil(error.retry_after_s))}
    return {"retry-after": str(AGAIN_S)} if isinstance(error, ServiceError | DatabaseError) else {}
