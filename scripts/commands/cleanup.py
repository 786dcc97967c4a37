"""`nightjar cleanup`: give disk space back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.pipeline.nights.retention import OldNight

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: nightjar cleanup --unused 30 --keep-nights 14 --dry-run")
def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and leave it.")] = False,
    unused: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Also pulled models not used for so many days.")
    ] = None,
    keep_nights: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Drop transcripts of nights but the newest N; default: the setting."),
    ] = None,
    logs: Annotated[int, typer.Option(min=0, metavar="DAYS", help="Logs older than so many days.")] = 14,
    as_json: Json = False,
) -> None:
    """Clear unfinished downloads, files that belong to no model, old logs, and transcripts of old nights.

    Removals of runs that were interrupted are finished; old records of crashes, calls and workers go.

    Nights are runs of a schedule, or of a name with {date}. Their aggregates stay; baselines are left alone.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.models import inventory_rows, prepared
    from nightjar.scripts.views.output import emit_json
    from nightjar.workers.library.cleanup import clear, plan_cleanup

    settings = prepared()
    rows = run_async(inventory_rows(None))
    items = plan_cleanup(settings, rows, now=datetime.now(UTC), unused_days=unused, log_days=logs)
    if not dry_run:
        clear(items, settings)
    stored = run_async(_stored(settings, keep_nights, dry_run=dry_run))
    if as_json:
        emit_json(
            {
                "dry_run": dry_run,
                "items": [asdict(item) for item in items],
                "nights": [_row(night) for night in stored.nights],
                "kept": stored.kept,
                "removed": stored.removed,
                "records": stored.records,
                "nights_not_looked_at": stored.unseen,
            }
        )
        return
    lines = [(item.bytes, str(item.path), item.why) for item in items] + [_line(night) for night in stored.nights]
    _show(lines, dry_run=dry_run)
    _notes(stored, dry_run=dry_run)


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What goes or went of MongoDB."""

    nights: list[OldNight] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Names of runs that could not be dropped."""
    removed: list[str] = field(default_factory=list)
    """Names of runs whose interrupted removal was finished."""
    records: int = 0
    """Old crashes, calls, workers and leases."""
    unseen: str | None = None
    """Why MongoDB was not looked at."""


async def _stored(settings: Settings, keep_nights: int | None, *, dry_run: bool) -> _Stored:
    from nightjar.config.embedded import service_urls, status
    from nightjar.config.errors import SchemaError, ServiceError
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.expiry import count_old, drop_old
    from nightjar.jobs.runs.removal import finish_removal, interrupted_removals
    from nightjar.pipeline.nights.retention import drop_transcripts, plan_retention

    if settings.mongo_url is None and any(server.state != "up" for server in status(settings)):
        return _Stored(unseen="MongoDB does not run; `nightjar services up` starts it")
    try:
        access = Access.READ if dry_run else Access.WRITE
        async with await connect(service_urls(settings).mongo, settings.mongo_database, access=access) as database:
            plan = await plan_retention(database, settings.night, keep_nights=keep_nights)
            days = settings.night.keep_records_days
            interrupted = await interrupted_removals(database)
            removed = sorted(interrupted.values())
            if dry_run:
                return _Stored(nights=plan, removed=removed, records=await count_old(days, database))
            records = await drop_old(days, database)
            for run in interrupted:
                await finish_removal(run, database)
            gone = [old for old in plan if await drop_transcripts(old.night.id, database)]
            kept = [old.night.name for old in plan if old not in gone]
            return _Stored(nights=gone, kept=kept, removed=removed, records=records)
    except (ServiceError, SchemaError) as error:
        return _Stored(unseen=str(error))


def _row(old: OldNight) -> dict[str, Any]:
    return {"run": old.night.name, "id": old.night.id, "series": old.night.series, "bytes": old.bytes, "why": old.why}


def _line(old: OldNight) -> tuple[int, str, str]:
    return old.bytes, f"run {old.night.name}", old.why


def _show(lines: list[tuple[int, str, str]], *, dry_run: bool) -> None:
    from nightjar.scripts.views.models import decimal_size
    from nightjar.scripts.views.output import console, plain

    for amount, what, why in lines:
        console().print(plain(f"{decimal_size(amount)}  {what}  ({why})"), soft_wrap=True)
    verb = "would be freed" if dry_run else "freed"
    console().print(f"{decimal_size(sum(amount for amount, _, _ in lines))} {verb} in {how_many(len(lines), 'place')}.")


def _notes(stored: _Stored, *, dry_run: bool) -> None:
    from nightjar.scripts.views.output import console, plain

    for name in stored.removed:
        done = "would be finished" if dry_run else "is finished"
        console().print(plain(f"The removal of run {name}, which was interrupted, {done}."), soft_wrap=True)
    if stored.records:
        done = "would be dropped" if dry_run else "are dropped"
        console().print(f"{how_many(stored.records, 'old record')} of crashes, calls, workers and leases {done}.")
    for name in stored.kept:
        console().print(plain(f"Run {name} keeps its transcripts: it works again, or its aggregates are too large."))
    if stored.unseen is not None:
        console().print(plain(f"Nights were not looked at: {stored.unseen.removesuffix('.')}."), soft_wrap=True)
