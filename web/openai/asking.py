"""What every route of the protocol does with a request: who asks, which model, and its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from fastapi import Request

from nightjar.config.errors import ModelError, ParameterError, UnknownNameError
from nightjar.jobs.accounts.token_ledger import TokenPayer
from nightjar.jobs.backlog import live_workers
from nightjar.jobs.live.requests import LiveReply
from nightjar.jobs.live.task import LiveTask
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.memory import SHARED, check_memory
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import check
from nightjar.jobs.published import all_published
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.site import Site, site_of
from nightjar.web.visitors import visitor_of

Asked = TypeVar("Asked", LiveAsk, LiveTask)
MEMORY = "nightjar-memory"
"""The header that names a memory of the asker's."""
WITHOUT_EFFECT = "nightjar-without-effect"
GONE = 499
"""The client has gone: nobody sees this status but the log."""


def asker(request: Request) -> str:
    """On whose behalf the request is made."""
    visitor = visitor_of(request)
    return visitor.user or visitor.name.partition(" ")[0]


def on_account(asked: Asked, request: Request) -> Asked:
    """The same with the request's id, and with the API token that pays for it."""
    token = visitor_of(request).token
    payer = None if token is None else TokenPayer(token=token.id, limits=token.limits)
    return replace(asked, request=request.state.request_id, payer=payer)


def named_model(request: Request, named: str | None) -> str:
    """The model of the address, else of the body. Raises RefusedFieldError where neither names one."""
    model = request.path_params.get("model") or named
    if not model:
        raise RefusedFieldError("The request names no model; `/v1/models` lists them.", param="model")
    return str(model)


async def named_or_served(request: Request, named: str | None) -> str:
    """The same, else the only model that generates text: of those that a worker has loaded, or of all.

    Raises RefusedFieldError where there are several, or none.
    """
    if request.path_params.get("model") or named:
        return named_model(request, named)
    database = site_of(request).database
    models = [model.id for model in await all_published(database) if model.facts.kind is not ModelKind.EMBEDDING]
    served = [name for name in models if name in await live_workers(database)]
    for choice in (served, models):
        if len(choice) == 1:
            return choice[0]
    names = ", ".join(served or models) or "none yet"
    raise RefusedFieldError(f"Say which model is meant: 'model'. Models: {names}.", param="model")


async def with_memory(request: Request, asks: Sequence[LiveAsk]) -> list[LiveAsk]:
    """The same with the asker's memory that the header names, if any. Raises what `with_memory_named` raises."""
    return await with_memory_named(request.headers.get(MEMORY), asks, site_of(request))


async def with_memory_named(name: str | None, asks: Sequence[LiveAsk], site: Site) -> list[LiveAsk]:
    """The same with a memory of their user's, or a shared one; None: as they are.

    Raises RefusedFieldError for a wrong name, for what is not to be stored, and where no memory can be had.
    """
    if name is None:
        return list(asks)
    if any(not ask.store for ask in asks):
        raise RefusedFieldError(f"`store: false` and {MEMORY}: a memory stores what is said.", param=MEMORY)
    try:
        check({"memory": name}, MEMORY)
        await check_memory_here(name, site)
        if name.startswith(SHARED):
            await check_memory(name, site.database)
    except (ParameterError, ModelError, UnknownNameError) as error:
        raise RefusedFieldError(str(error), param=MEMORY, code="invalid_value") from None
    return [replace(ask, parameters={**ask.parameters, "memory": name}) for ask in asks]


async def check_memory_here(name: str, site: Site) -> None:
    """Raises NightjarError where nothing can be found in a memory, for want of a small embedding model."""
    if site.enforceable is not None:
        await asyncio.to_thread(site.enforceable, {"memory": name})


async def submit_all(tasks: Iterable[LiveTask], request: Request) -> list[LiveReply]:
    """All of them or, where one is refused, none."""
    site = site_of(request)
    replies: list[LiveReply] = []
    try:
        for task in tasks:
            replies.append(await site.live.submit_task(on_account(task, request)))
    except BaseException:
        for reply in replies:
            await reply.cancel()
        raise
    return replies


def told_without(without: Sequence[str]) -> dict[str, str]:
    """The header that names fields without effect."""
    return {WITHOUT_EFFECT: ", ".join(without)} if without else {}
