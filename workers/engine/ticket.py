"""A submitted request as asyncio sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic, TypeVar, cast

from nightjar.workers.engine.request import Generation, Request, ScoreRequest, ScoreResult, Text, TextTap, Vector

Asked = TypeVar("Asked", Request, Text, ScoreRequest)
Result = TypeVar("Result")
Outcome = Generation | Vector | ScoreResult | BaseException


class Ticket(Generic[Asked, Result]):
    """Await it for the result; a streaming one may be iterated for its text first.

    Cancelling whoever awaits, or leaving the iteration early, cancels the request.
    """

    def __init__(
        self,
        asked: Asked,
        cancel: Callable[[AnyTicket], None],
        *,
        streaming: bool = False,
        tap: TextTap | None = None,
    ) -> None:
        """Belongs to the running event loop. `tap`: gets the text, where it wants it, in the place of an iteration."""
        self.asked: Asked = asked
        self.iterated = streaming
        self.tap = tap
        self.dropped = False
        """Whether it was cancelled, perhaps before the engine's thread had it."""
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Result] = self.loop.create_future()
        self._texts: deque[str] = deque()
        self._more = asyncio.Event()
        self._cancel = cancel

    @property
    def watched(self) -> bool:
        """Whether somebody reads the text as it comes; read by the decode thread, too."""
        return self.tap is not None and self.tap.wanted

    @property
    def streaming(self) -> bool:
        """Whether its text is handed over before its end."""
        return self.iterated or self.watched

    def __await__(self) -> Generator[Any, None, Result]:
        return self._result().__await__()

    async def _result(self) -> Result:
        try:
            return await asyncio.shield(self.done)
        except asyncio.CancelledError:
            self._cancel(self)
            raise

    async def __aiter__(self) -> AsyncIterator[str]:
        assert self.iterated, "submit with streaming=True to iterate"
        try:
            while not self.done.done() or self._texts:
                while self._texts:
                    yield self._texts.popleft()
                self._more.clear()
                if not self.done.done():
                    await self._more.wait()
            self.done.result()
        finally:
            self._cancel(self)

    def deliver(self, text: str, outcome: Outcome | None) -> None:
        """Called in the event loop."""
        if text and self.iterated:
            self._texts.append(text)
        elif text and self.tap is not None:
            self.tap.take(text)
        if outcome is not None and not self.done.done():
            if isinstance(outcome, BaseException):
                self.done.set_exception(outcome)
                self.done.exception()  # a caller that went away must not make asyncio complain
            else:
                self.done.set_result(cast("Result", outcome))
        self._more.set()


RequestTicket = Ticket[Request, Generation]
TextTicket = Ticket[Text, Vector]
ScoreTicket = Ticket[ScoreRequest, ScoreResult]
AnyTicket = Ticket[Any, Any]
TicketEvent = tuple[AnyTicket, str, Outcome | None]
"""Text that became certain, and the outcome where this is the end."""
