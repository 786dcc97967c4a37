"""`nightjar scorer`: what replies can be checked and measured for."""

from __future__ import annotations

import typer

from scripts.output import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What replies can be checked and measured for.")


@app.callback()
def scorer() -> None:
    """Keeps `list` a command of its own."""


@app.command("list")
def list_scorers(as_json: Json = False) -> None:
    """List the checks a suite may ask for and the measures every reply gets. Example: nightjar scorer list"""
    from pipeline.scoring.expectations import known_checks
    from pipeline.scoring.measures import MEASURES
    from pipeline.scoring.scorer import PASS
    from scripts.output import console, emit_json, table

    found = [("check", name, PASS, told) for name, told in known_checks().items()]
    found += [("measure", one.name, one.scale, one.help) for one in MEASURES]
    if as_json:
        keys = ("kind", "name", "worst", "best", "direction", "help")
        rows = [(kind, name, s.worst, s.best, s.direction.value, told) for kind, name, s, told in found]
        emit_json({"scorers": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    cells = [(name, kind, _number(s.worst), _number(s.best), told) for kind, name, s, told in found]
    console().print(table(None, ["name", "kind", "worst>", "best>", "what it says"], cells))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
