"""`nightjar uninstall`: remove what Nightjar keeps on this machine, and say how to remove the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.scripts.uninstalling import Belonging, Removal

app = typer.Typer(add_completion=False)


@app.command()
def uninstall(
    data: Annotated[bool, typer.Option("--data", help="Remove the data; without it, only say what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the data of this home, and say how to remove the program. Example: nightjar uninstall --data

    Workers and other commands that work in this home are told to end, its MongoDB and Redis are stopped. Models that
    were pulled go; files that you put beside them stay, and so does whatever a URL names.
    """
    from nightjar.config.counting import how_many
    from nightjar.scripts.uninstalling import carry_out, plan_removal
    from nightjar.scripts.views.models import decimal_size, prepared
    from nightjar.scripts.views.output import console, plain

    settings = prepared()
    removal = plan_removal(settings)
    if not as_json:
        _show_data(removal)
    if data and removal.removes:
        if not yes:
            _ask(removal)
        carry_out(removal, settings)
    removed = data and bool(removal.removes)
    if as_json:
        _emit(removal, removed=removed)
        return
    if removed:
        count = how_many(len(removal.removes), "item")
        console().print(plain(f"Removed {count}, {decimal_size(removal.bytes)}, of {removal.home}."), soft_wrap=True)
    _show_rest(removal, removed=removed)


def _ask(removal: Removal) -> None:
    """Raises UsageError where nobody can answer, Abort where the answer is no."""
    import sys

    from nightjar.config.errors import UsageError
    from nightjar.scripts.views.models import decimal_size

    if not sys.stdin.isatty():
        raise UsageError(
            f"`nightjar uninstall --data` would remove {decimal_size(removal.bytes)} of {removal.home}, and asks "
            "first. Where nobody can answer it wants --yes."
        )
    typer.confirm("Remove all this for good?", abort=True)


def _show_data(removal: Removal) -> None:
    from nightjar.scripts.views.models import decimal_size
    from nightjar.scripts.views.output import console, plain, table

    if not removal.removes:
        console().print(plain(f"There are no data of Nightjar's in {removal.home}."), soft_wrap=True)
        return
    console().print(plain(f"In the home {removal.home}, {decimal_size(removal.bytes)}:"), soft_wrap=True)
    rows = [(decimal_size(found.bytes), found.what, _short(found, removal)) for found in removal.removes]
    console().print(table(None, ("size>", "what", "where"), rows))
    for user in (*removal.commands, *removal.programs):
        console().print(plain(f"At work in it: {user}"), soft_wrap=True)
    if removal.servers:
        console().print(f"Running: {' and '.join(removal.servers)}.")


def _short(found: Belonging, removal: Removal) -> str:
    return found.where.removeprefix(f"{removal.home}/")


def _show_rest(removal: Removal, *, removed: bool) -> None:
    from nightjar.config.installation import removal_line
    from nightjar.scripts.views.models import decimal_size
    from nightjar.scripts.views.output import console, plain

    out = console()
    if removal.removes and not removed:
        out.print("`nightjar uninstall --data` ends what works there and removes all this.")
    if removal.leaves:
        out.print("Left, with how to remove it:" if removed else "What it would leave, with how to remove it:")
    for found in removal.leaves:
        size = "" if found.bytes is None else f", {decimal_size(found.bytes)}"
        out.print(plain(f"  {found.where} ({found.what}{size})"), soft_wrap=True)
        out.print(plain(f"      {found.how}"), soft_wrap=True)
    if removal.servers and not removed:
        out.print("Before you remove the program, stop its servers: nightjar services down")
    out.print(plain(f"To remove the program: {removal_line()}"), soft_wrap=True)


def _emit(removal: Removal, *, removed: bool) -> None:
    from dataclasses import asdict

    from nightjar.config.installation import removal_line
    from nightjar.scripts.views.output import emit_json

    found = asdict(removal)
    emit_json({**found, "bytes": removal.bytes, "removed": removed, "program": removal_line()})
