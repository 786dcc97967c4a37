"""What `nightjar photos` prints, and what hosts tell each other of their photos: names and numbers alone."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.mongo import Database
    from nightjar.workers.photos.search import FoundPhoto

T = TypeVar("T")


def show_photos(photos: Sequence[FoundPhoto]) -> None:
    """As a table; how near what a photo shows is, where that was asked."""
    asked = any(photo.shows is not None for photo in photos)
    rows = [
        [
            photo.path,
            photo.text if photo.caption_by is None else f"{photo.text} (in part by {photo.caption_by})",
            photo.taken,
            f"{photo.similarity:.2f}",
            *([None if photo.shows is None else f"{photo.shows:.2f}"] if asked else []),
        ]
        for photo in photos
    ]
    columns = ("photo", "text", "taken", "nearness>", *(("shows>",) if asked else ()))
    console().print(table(None, columns, rows))


def announce(settings: Settings) -> None:
    """Tells hosts that share the database which one serves photos. Says so where that cannot be told now."""
    from nightjar.config.home_id import home_id
    from nightjar.jobs.search.photo_homes import announce_photos
    from nightjar.workers.photos.store import read_indexes, this_host

    served = [index for index in read_indexes(settings.home) if index.served_here]
    photos = sum(len(index.records) for index in served)

    async def tell(database: Database) -> None:
        await announce_photos(home_id(settings.home), this_host(), len(served), photos, database)

    _with_others(settings, tell)


def notices_of_others(settings: Settings) -> list[str]:
    """Which other hosts serve photos, a sentence each."""
    from nightjar.config.home_id import home_id
    from nightjar.jobs.search.photo_homes import elsewhere_notice, photos_elsewhere

    async def ask(database: Database) -> list[str]:
        return [elsewhere_notice(home) for home in await photos_elsewhere(home_id(settings.home), database)]

    return _with_others(settings, ask) or []


def forget_host(host: str) -> None:
    """Forgets what that host said of its photos. Raises UnknownNameError where it said nothing."""
    from nightjar.config.errors import UnknownNameError
    from nightjar.jobs.search.photo_homes import forget_photo_host, photos_elsewhere
    from nightjar.scripts.session import open_session, run_async

    async def forget() -> None:
        async with open_session() as session:
            if not await forget_photo_host(host, session.database):
                known = [home.host for home in await photos_elsewhere("", session.database)]
                raise UnknownNameError("host with photos", host, known)

    run_async(forget())
    print(plain(f"{host} is forgotten; what it holds is untouched."))


def _with_others(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T | None:
    """Does it on the database that hosts share; None where this home has one of its own, which no other host sees."""
    from nightjar.config.errors import SchemaError, ServiceError
    from nightjar.scripts.session import open_session, run_async

    if settings.mongo_url is None:
        return None

    async def do() -> T:
        async with open_session() as session:
            return await work(session.database)

    try:
        return run_async(do())
    except (ServiceError, SchemaError) as error:
        print(plain(f"nightjar: other hosts and their photos were left out: {error}"), file=sys.stderr)
        return None
