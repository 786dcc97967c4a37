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

    scorers = listed()
    if as_json:
        emit_json({"scorers": [_row(scorer) for scorer in scorers]})
        return
    cells = [
        (scorer.name, scorer.kind, _number(scorer.scale.worst), _number(scorer.scale.best), scorer.help, scorer.origin)
        for scorer in scorers
    ]
    console().print(table(None, ["name", "kind", "worst>", "best>", "what it says", "from"], cells))


def _row(scorer: Listed) -> dict[str, object]:
    return {
        "kind": scorer.kind,
        "name": scorer.name,
        "worst": scorer.scale.worst,
        "best": scorer.scale.best,
        "direction": scorer.scale.direction.value,
        "unit": scorer.scale.unit,
        "help": scorer.help,
        "origin": scorer.origin,
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
