"""Replies as a stream of server-sent events, or as one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from nightjar.config.errors import NightjarError
from nightjar.config.redact import redact_text
from nightjar.jobs.live.reply_cache import FollowedReply
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece
from nightjar.jobs.mongo import DatabaseError
from nightjar.web.openai.asking import GONE
from nightjar.web.openai.refusals import openai_error
from nightjar.web.openai.schema import SamplingFields
from nightjar.web.openai.streams import DONE, WAITING, ClientGoneError, Heard, all_ends, follow_replies, sse
from nightjar.web.openai.translate import told_cost
from nightjar.web.site import site_of
from nightjar.web.statuses import status_of_error

_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}


class AnswerShape(Protocol):
    """How the answers of one protocol look."""

    def completion(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        """The whole answer."""

    def opening(self, index: int) -> dict[str, Any] | None:
        """The first chunk of a choice, where there is one before its text."""

    def piece(self, index: int, piece: LivePiece) -> dict[str, Any]:
        """A chunk with text."""

    def closing(self, index: int, end: LiveEnd) -> dict[str, Any]:
        """The last chunk of a choice."""

    def usage(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        """The last chunk of all, where it was asked for."""


async def answered(
    asked: SamplingFields,
    replies: Sequence[FollowedReply],
    shape: AnswerShape,
    request: Request,
    headers: Mapping[str, str],
    *,
    waits: bool = False,
) -> Response:
    """The answer as it was asked for. Raises what goes wrong before a stream has begun.

    `waits`: a stream begins with its first text, however long that takes, so that until then another may be asked.
    """
    try:
        if asked.stream:
            return await _streamed(asked, replies, shape, request, headers, waits=waits)
        ends = await all_ends(replies, request, site_of(request))
    except ClientGoneError:
        return Response(status_code=GONE)
    return JSONResponse(shape.completion(ends), headers={**headers, **told_cost(ends)})


async def _streamed(
    asked: SamplingFields,
    replies: Sequence[FollowedReply],
    shape: AnswerShape,
    request: Request,
    headers: Mapping[str, str],
    *,
    waits: bool,
) -> Response:
    """What goes wrong at once is told by the status; later, by an event of the stream."""
    heard = follow_replies(replies, request, site_of(request))
    first = await anext(heard)
    while first is None and waits:
        first = await anext(heard)
    events = _events(first, heard, shape, len(replies), usage=asked.stream_options.include_usage)
    return StreamingResponse(events, media_type="text/event-stream", headers={**_STREAM, **headers})


async def _events(
    first: Heard | None, heard: AsyncIterator[Heard | None], shape: AnswerShape, choices: int, *, usage: bool
) -> AsyncIterator[str]:
    ends: dict[int, LiveEnd] = {}
    try:
        for index in range(choices):
            if (opening := shape.opening(index)) is not None:
                yield sse(opening)
        async for item in _from_first(first, heard):
            if item is None:
                yield WAITING
            elif item.piece is not None:
                yield sse(shape.piece(item.index, item.piece))
            elif item.end is not None:
                ends[item.index] = item.end
                yield sse(shape.closing(item.index, item.end))
        if usage:
            yield sse(shape.usage([ends[index] for index in sorted(ends)]))
        yield DONE
    except ClientGoneError:
        return
    except (NightjarError, DatabaseError) as error:
        yield sse(openai_error(status_of_error(error), redact_text(str(error)), error))
    finally:
        await heard.aclose()  # type: ignore[attr-defined]


async def _from_first(first: Heard | None, rest: AsyncIterator[Heard | None]) -> AsyncIterator[Heard | None]:
    yield first
    async for item in rest:
        yield item
