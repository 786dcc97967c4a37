"""Requests for replies, which may be there already: what a caller's header says of it, and what the answer's does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fastapi import Request

from nightjar.jobs.live.reply_cache import FollowedReply
from nightjar.jobs.live.reply_key import CacheMode
from nightjar.jobs.live_request import LiveAsk
from nightjar.web.openai.asking import on_account
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.site import site_of

CACHE = "nightjar-cache"
"""Header of a request: off, deterministic or all. Header of its answer: hit, shared, miss or off, for each choice."""


async def submit_asks(asks: Sequence[LiveAsk], request: Request) -> tuple[list[FollowedReply], dict[str, str]]:
    """All of them or, where one is refused, none; and the header that says what the cache had."""
    site, mode = site_of(request), cache_mode(request)
    replies: list[FollowedReply] = []
    uses: list[str] = []
    equal: Counter[str] = Counter()
    try:
        for ask in asks:
            nth = equal[repr(ask)]
            equal[repr(ask)] += 1
            reply, use = await site.replies.submit(on_account(ask, request), mode, nth)
            replies.append(reply)
            uses.append(use)
            site.meters.looked_up(ask.model, use)
    except BaseException:
        for reply in replies:
            await reply.cancel()
        raise
    return replies, {CACHE: ", ".join(uses)}


def cache_mode(request: Request) -> CacheMode:
    """Raises RefusedFieldError."""
    said = request.headers.get(CACHE, CacheMode.DETERMINISTIC).strip().lower()
    try:
        return CacheMode(said)
    except ValueError:
        known = ", ".join(CacheMode)
        raise RefusedFieldError(
            f"{CACHE} is {said!r}; it must be one of {known}.", param=CACHE, code="invalid_value"
        ) from None
