"""`nightjar services`: the embedded MongoDB and Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The embedded MongoDB and Redis. Commands start them when they need them; they go on until `down`.",
)


@app.command()
def up(as_json: Json = False) -> None:
    """Start what is not up. Example: nightjar services up"""
    from nightjar.config.embedded import service_urls

    settings = _settings()
    service_urls(settings)
    _show(settings, as_json=as_json)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop them cleanly; their data stay. Example: nightjar services down"""
    from nightjar.config import embedded
    from nightjar.scripts.views.output import emit_json

    stopped = embedded.down(_settings())
    if as_json:
        emit_json({"stopped": stopped})
    else:
        print(f"Stopped {' and '.join(stopped)}." if stopped else "No embedded server was running.")


@app.command()
def status(as_json: Json = False) -> None:
    """Where each server is and how it does; exit code 1 when one is not up. Example: nightjar services status --json"""
    _show(_settings(), as_json=as_json)


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the database's documents to this version's form; see docs/services.md. Example: nightjar services migrate

    Commands that write do the same when they begin; commands that only read refuse until it is done.
    """
    from nightjar.scripts.migrating import migrate_database
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.output import emit_json

    settings = _settings()
    before, after, applied = run_async(migrate_database(settings))
    if as_json:
        emit_json({"schema": {"before": before, "after": after, "migrations": applied}})
    elif applied:
        print(f"Migrated from schema version {before} to {after}: {'; '.join(applied)}.")
    else:
        print(f"Nothing to do: the database is of schema version {after}.")


def _settings() -> Settings:
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings

    settings = load_settings()
    configure(settings)
    return settings


def _show(settings: Settings, *, as_json: bool) -> None:
    """Prints the servers and ends with exit code 1 when one is not up."""
    from rich.filesize import decimal

    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.output import console, emit_json, table
    from nightjar.scripts.views.servers import as_rows, server_views

    views = run_async(server_views(settings))
    if as_json:
        emit_json({"services": as_rows(views)})
    else:
        columns = ("name", "state", "address", "pid>", "version", "size>", "since")
        rows = [
            [
                view.name,
                view.state,
                view.address,
                view.pid,
                view.version,
                None if view.size_bytes is None else decimal(view.size_bytes),
                _local(view.since),
            ]
            for view in views
        ]
        console().print(table(None, columns, rows))
        for view in views:
            about = ". ".join(part for part in (view.reason, view.data and f"Its data are in {view.data}") if part)
            if about:
                console().print(f"{view.name}: {about}", soft_wrap=True)
    if any(view.state != "up" for view in views):
        raise typer.Exit(1)


def _local(since: str | None) -> str | None:
    """The moment in this machine's time zone, to the minute."""
    from datetime import datetime

    return None if since is None else f"{datetime.fromisoformat(since).astimezone():%m-%d %H:%M}"
