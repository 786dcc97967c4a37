"""How MongoDB and Redis are doing, the embedded and the configured ones alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import NightjarError

if TYPE_CHECKING:
    from nightjar.config.embedded import ServerStatus
    from nightjar.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """One server. What does not apply, or is not known, is None."""

    name: str
    kind: str
    """embedded, or configured (by NIGHTJAR_MONGO_URL, NIGHTJAR_REDIS_URL)."""
    state: str
    """up, down (not started), starting, dead (it should be up), unreachable."""
    address: str | None = None
    pid: int | None = None
    version: str | None = None
    data: str | None = None
    size_bytes: int | None = None
    since: str | None = None
    reason: str | None = None
    """Why it is not up, or what else there is to know."""


async def server_views(settings: Settings) -> list[ServerView]:
    """MongoDB, then Redis. Starts nothing; an unreachable server takes at most 5 s."""
    from nightjar.config.embedded import status

    mongo, redis = (server for server in status(settings, every=True))
    return [
        _beside(mongo, await _configured_mongo(settings)) if settings.mongo_url else _embedded(mongo),
        _beside(redis, await _configured_redis(settings)) if settings.redis_url else _embedded(redis),
    ]


def _beside(embedded: ServerStatus, configured: ServerView) -> ServerView:
    """The configured server, with a word about an embedded one that still runs."""
    if embedded.pid is None or str(embedded.address) == configured.address:
        return configured
    running = (
        f"Beside it the embedded {embedded.name} of this home still runs (pid {embedded.pid}), which the URL has "
        "replaced; to stop it: nightjar services down"
    )
    return replace(configured, reason=". ".join(filter(None, (configured.reason, running))))


def as_rows(views: list[ServerView]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [asdict(view) for view in views]


def _embedded(found: ServerStatus) -> ServerView:
    again = "Any worker or dispatcher that runs tries it again; to start it now: nightjar services up"
    ended = found.error or f"It ended by itself: look into {found.log}."
    reasons = {
        "down": "Not started; a command that needs it starts it, and so does: nightjar services up",
        "starting": "It has been started and is not ready yet",
        "dead": f"It should be up. {ended} {again}",
    }
    aside = (
        f"Data that it could not read are in {found.put_aside}: they only said which jobs were due, and the dispatcher "
        "has rung again. Delete the folder when you have no use for it"
        if found.put_aside
        else None
    )
    return ServerView(
        name=found.name,
        kind="embedded",
        state=found.state,
        address=found.address,
        pid=found.pid,
        version=found.version,
        data=str(found.data),
        size_bytes=found.size_bytes,
        since=found.since,
        reason=". ".join(filter(None, (reasons.get(found.state), aside))) or None,
    )


async def _configured_mongo(settings: Settings) -> ServerView:
    from nightjar.config.urls import address
    from nightjar.jobs.database import Access, connect

    assert settings.mongo_url is not None
    where = address(settings.mongo_url)
    try:
        async with await connect(
            settings.mongo_url, settings.mongo_database, documents=False, access=Access.LOOK
        ) as database:
            version = await database.version()
    except NightjarError as error:
        return ServerView(name="mongo", kind="configured", state="unreachable", address=where, reason=str(error))
    return ServerView(name="mongo", kind="configured", state="up", address=where, version=version)


async def _configured_redis(settings: Settings) -> ServerView:
    from nightjar.config.urls import address
    from nightjar.jobs.queue import Doorbell

    assert settings.redis_url is not None
    where = address(settings.redis_url)
    try:
        doorbell = await Doorbell.connect(settings.redis_url)
    except NightjarError as error:
        return ServerView(name="redis", kind="configured", state="unreachable", address=where, reason=str(error))
    try:
        version = (await doorbell.redis.info("server")).get("redis_version")
    finally:
        await doorbell.close()
    return ServerView(name="redis", kind="configured", state="up", address=where, version=version)
