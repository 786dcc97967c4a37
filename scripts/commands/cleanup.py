"""`nightjar cleanup`: give disk space back."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.output import Json

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: nightjar cleanup --unused 30 --dry-run")
def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and leave it.")] = False,
    unused: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Also pulled models not used for so many days.")
    ] = None,
    logs: Annotated[int, typer.Option(min=0, metavar="DAYS", help="Logs older than so many days.")] = 14,
    as_json: Json = False,
) -> None:
    """Clear unfinished downloads, files that belong to no model, and old logs."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from scripts.model_views import inventory_rows, prepared, size
    from scripts.output import console, emit_json, plain
    from scripts.session import run_async
    from workers.library.cleanup import clear, plan_cleanup

    settings = prepared()
    rows = run_async(inventory_rows(None))
    items = plan_cleanup(settings, rows, now=datetime.now(UTC), unused_days=unused, log_days=logs)
    if not dry_run:
        clear(items, settings)
    if as_json:
        emit_json({"dry_run": dry_run, "items": [asdict(item) for item in items]})
        return
    for item in items:
        console().print(plain(f"{size(item.bytes)}  {item.path}  ({item.why})"), soft_wrap=True)
    verb = "would be freed" if dry_run else "freed"
    console().print(f"{size(sum(item.bytes for item in items))} {verb} in {len(items)} places.")
