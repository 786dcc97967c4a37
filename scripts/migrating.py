"""How a migration of the database shows: a bar for a person who waits, lines in the log of a service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.database import MigrationProgress

LOG_EVERY_S = 5.0


async def migrate_database(settings: Settings) -> tuple[int, int, list[str]]:
    """Migrates; the schema version before and after, and the migrations that ran. Raises ServiceError, SchemaError."""
    from nightjar.config.embedded import service_urls
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.schema import migrate, read_state

    url = (await asyncio.to_thread(service_urls, settings)).mongo
    async with await connect(url, settings.mongo_database, documents=False, access=Access.LOOK) as database:
        before = await read_state(database)
        with migration_progress(logged=False) as progress:
            applied = await migrate(database, progress)
        return before.version, (await read_state(database)).version, applied


@contextmanager
def migration_progress(*, logged: bool) -> Iterator[MigrationProgress]:
    """What is told of a migration, where there is one. `logged`: also on a terminal nobody watches a bar."""
    if logged or not sys.stderr.isatty():
        yield _logging()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show


def _logging() -> MigrationProgress:
    """The beginning and the end of each part, and a line every few seconds between."""
    import structlog

    log = structlog.get_logger()
    last: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in last or done == total or monotonic() - last[what] > LOG_EVERY_S:
            last[what] = monotonic()
            log.warning("database_migrating", what=what, done=done, total=total)

    return show
