"""Publishing the facts of this machine's models: what a person has here, a page or a program may ask for at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from nightjar.config.errors import NightjarError

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

_log = structlog.get_logger()


async def publish_entry(entry: ModelEntry, settings: Settings, database: Database) -> None:
    """Publishes the facts of a model of this host. Raises ModelFileError."""
    from nightjar.jobs.published import publish_model
    from nightjar.workers.library.inspect import entry_facts
    from nightjar.workers.library.origin import origin

    facts = await asyncio.to_thread(entry_facts, entry)
    came_from = await asyncio.to_thread(origin, entry, settings)
    await publish_model(database, facts, socket.gethostname(), origin=came_from)


async def publish_known(settings: Settings, database: Database) -> list[str]:
    """Publishes the facts of registered models that nobody has published yet. Returns their names.

    Small files come first: one that nobody loaded before is read whole once, for its digest. A model that cannot be
    read is logged and left out.
    """
    from nightjar.jobs.published import published
    from nightjar.workers.library.find import find_model
    from nightjar.workers.library.inventory import ModelState, inventory

    known = await asyncio.to_thread(inventory, settings)
    held = [each for each in known if each.registered and each.state is ModelState.READY]
    there = await published([each.name for each in held], database)
    done = []
    for each in sorted(held, key=lambda each: each.file_bytes or 0):
        if each.name in there:
            continue
        try:
            entry = await asyncio.to_thread(find_model, each.name, settings)
            await publish_entry(entry, settings, database)
        except (NightjarError, OSError) as error:
            _log.warning("model_not_published", model=each.name, error=str(error))
            continue
        done.append(each.name)
    return done


@asynccontextmanager
async def publishing_known(session: Session) -> AsyncIterator[None]:
    """Beside the block; what is not read by its end stays unpublished."""
    from nightjar.jobs.mongo import DatabaseError
    from nightjar.jobs.periodic import end_task

    async def publish() -> None:
        try:
            await publish_known(session.settings, session.database)
        except (NightjarError, DatabaseError) as error:
            _log.warning("models_not_published", error=str(error))

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        await end_task(task)
