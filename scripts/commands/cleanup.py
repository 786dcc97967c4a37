"""`nightjar cleanup`: give disk space back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    nights, kept, unseen = run_async(_nights(settings, keep_nights, dry_run=dry_run))
    if as_json:
        shown = [_row(night) for night in nights]
        items_shown = [asdict(item) for item in items]
        emit_json(
            {"dry_run": dry_run, "items": items_shown, "nights": shown, "kept": kept, "nights_not_looked_at": unseen}
        )
        return
    lines = [(item.bytes, str(item.path), item.why) for item in items] + [_line(night) for night in nights]
    _show(lines, dry_run=dry_run)
    _notes(kept, unseen)


async def _nights(
    settings: Settings, keep_nights: int | None, *, dry_run: bool
) -> tuple[list[OldNight], list[str], str | None]:
    """Nights that go or went, runs that could not be dropped, and why nights were not looked at."""
    from nightjar.config.embedded import service_urls, status
    from nightjar.config.errors import SchemaError, ServiceError
    from nightjar.jobs.database import Access, connect
    from nightjar.pipeline.nights.retention import drop_transcripts, plan_retention

    if settings.mongo_url is None and any(server.state != "up" for server in status(settings)):
        return [], [], "MongoDB does not run; `nightjar services up` starts it"
    try:
        access = Access.READ if dry_run else Access.WRITE
        async with await connect(service_urls(settings).mongo, settings.mongo_database, access=access) as database:
            plan = await plan_retention(database, settings.night, keep_nights=keep_nights)
            if dry_run:
                return plan, [], None
            gone = [old for old in plan if await drop_transcripts(old.night.id, database)]
            return gone, [old.night.name for old in plan if old not in gone], None
    except (ServiceError, SchemaError) as error:
        return [], [], str(error)


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
    console().print(f"{decimal_size(sum(amount for amount, _, _ in lines))} {verb} in {len(lines)} places.")


def _notes(kept: list[str], unseen: str | None) -> None:
    from nightjar.scripts.views.output import console, plain

    for name in kept:
        console().print(plain(f"Run {name} keeps its transcripts: it works again, or its aggregates are too large."))
    if unseen is not None:
        console().print(plain(f"Nights were not looked at: {str(unseen).removesuffix('.')}."), soft_wrap=True)
