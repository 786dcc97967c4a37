"""`nightjar scorer`: what replies can be checked and measured for, and where each scorer comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.pipeline.scoring.listing import Listed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What replies can be checked and measured for. Example: nightjar scorer list",
)


@app.callback()
def scorer() -> None:
    """Keeps `list` a command of its own."""


@app.command("list")
def list_scorers(as_json: Json = False) -> None:
    """List the checks and measures there are, your own among them, and where each comes from.

    Example: nightjar scorer list
    """
    from nightjar.pipeline.scoring.listing import listed
    from nightjar.scripts.views.output import console, emit_json, table

    found = listed()
    if as_json:
        emit_json({"scorers": [_row(one) for one in found]})
        return
    cells = [
        (one.name, one.kind, _number(one.scale.worst), _number(one.scale.best), one.help, one.origin) for one in found
    ]
    console().print(table(None, ["name", "kind", "worst>", "best>", "what it says", "from"], cells))


def _row(one: Listed) -> dict[str, object]:
    return {
        "kind": one.kind,
        "name": one.name,
        "worst": one.scale.worst,
        "best": one.scale.best,
        "direction": one.scale.direction.value,
        "unit": one.scale.unit,
        "help": one.help,
        "origin": one.origin,
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
