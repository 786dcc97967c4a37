"""Waiting out a MongoDB that is away for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from pymongo.errors import AutoReconnect, ExecutionTimeout, NetworkTimeout, PyMongoError, ServerSelectionTimeoutError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from nightjar.config.errors import ServiceError

T = TypeVar("T")
PATIENCE_S = 120.0
"""How long a write is tried again. Longer than a lease: the fence, not haste, keeps a late one harmless."""
_log = structlog.get_logger()


def is_transient(error: BaseException) -> bool:
    """True for errors that say that the server was away, slow or out of room, not that the request was wrong."""
    if isinstance(error, AutoReconnect | NetworkTimeout | ServerSelectionTimeoutError | ExecutionTimeout):
        return True
    return isinstance(error, PyMongoError) and (error.timeout or getattr(error, "code", None) in _PASSING_CODES)


_PASSING_CODES = {6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 14031}
"""Host unreachable or not found, network timeout, shutting down, stepping down, time limit, socket, interrupted,
not primary, out of disk space."""


async def patiently(attempt: Callable[[], Awaitable[T]], *, patience_s: float = PATIENCE_S) -> T:
    """Runs `attempt` again, with growing jittered pauses of at most 2 s, while MongoDB is away.

    Raises ServiceError when it stays away; any other error passes at once. `attempt` must be safe to repeat. Cancelling
    the caller ends it, though the driver may make an error of its own of that, or none.
    """
    cancelled_before = _cancellations()

    async def once() -> T:
        try:
            result = await attempt()
        except PyMongoError:
            if _cancellations() > cancelled_before:
                raise asyncio.CancelledError from None
            raise
        if _cancellations() > cancelled_before:  # `wait_for` of Python 3.11 forgets one that comes with the answer
            raise asyncio.CancelledError
        return result

    try:
        return await once()  # nearly always it is this simple, and retrying machinery is not cheap
    except PyMongoError as error:
        if not is_transient(error):
            raise
        _log.warning("mongo_away", error=type(error).__name__, tries=1)

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(patience_s),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        before_sleep=_note,
        reraise=True,
    )
    try:
        return await retrying(once)
    except PyMongoError as error:
        if not is_transient(error):
            raise
        raise ServiceError(f"MongoDB was away for more than {patience_s:.0f} s: {type(error).__name__}.") from error


def _cancellations() -> int:
    """Of the running task, which may clean up after one and be cancelled again."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _note(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("mongo_away", error=type(error).__name__, tries=state.attempt_number)
