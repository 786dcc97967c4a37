"""What every route of the protocol does with a request: who asks, which model, and its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import Request

from nightjar.jobs.live import LiveReply
from nightjar.jobs.live_request import LiveAsk
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.site import Site
from nightjar.web.visitors import visitor_of

WITHOUT_EFFECT = "nightjar-without-effect"
GONE = 499
"""The client has gone: nobody sees this status but the log."""


def asker(request: Request) -> str:
    """On whose behalf the request is made."""
    visitor = visitor_of(request)
    return visitor.user or visitor.name.partition(" ")[0]


def named_model(request: Request, named: str | None) -> str:
    """The model of the address, else of the body. Raises RefusedFieldError where neither names one."""
    model = request.path_params.get("model") or named
    if not model:
        raise RefusedFieldError("The request names no model; `/v1/models` lists them.", param="model")
    return str(model)


async def submit_all(asks: Iterable[LiveAsk], site: Site) -> list[LiveReply]:
    """All of them or, where one is refused, none."""
    replies: list[LiveReply] = []
    try:
        for ask in asks:
            replies.append(await site.live.submit(ask))
    except BaseException:
        for reply in replies:
            await reply.cancel()
        raise
    return replies


def told_without(without: Sequence[str]) -> dict[str, str]:
    """The header that names fields without effect."""
    return {WITHOUT_EFFECT: ", ".join(without)} if without else {}
