"""`nightjar init`: make a folder a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nightjar.config.errors import OutputError, UsageError
from nightjar.scripts.views.output import plain

app = typer.Typer(add_completion=False)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Default: the current folder.")] = Path(),
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, whatever settings and home lie there already.")
    ] = False,
) -> None:
    """Make a folder a project: its .nightjar/, .env and nightjar.toml count from then on. Example: nightjar init evals

    The folder is listed in your own config folder, with its inode: what is cloned in its place later does not count.
    """
    from nightjar.config.project import is_checkout
    from nightjar.config.project_list import list_project, nearest_listed
    from nightjar.config.settings import current_project

    if is_checkout():
        raise UsageError(
            f"This Nightjar runs from the checkout {current_project().folder}, which is its project wherever you are. "
            "NIGHTJAR_CONFIG names another folder of settings, NIGHTJAR_HOME another home."
        )
    place = _made(folder)
    listed = nearest_listed(place)
    if listed is not None and listed.same and listed.path == place:
        print(plain(f"{place} is a project already."))
        return
    there = _brought(place)
    if there and not yes:
        _ask(place, there)
    list_project(place)
    _write_example(place)
    print(
        plain(f"{place} is a project now: its settings are in nightjar.toml, what Nightjar writes goes to .nightjar/.")
    )


def _made(folder: Path) -> Path:
    try:
        place = folder.expanduser().resolve()
        place.mkdir(parents=True, exist_ok=True)
        return place
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}. Name another folder.") from None


def _brought(place: Path) -> list[str]:
    """What lies there already and would count from now on, for the person who is about to trust it."""
    from nightjar.config.keys import dotted, table_leaves
    from nightjar.config.project import DOTENV, HOME_NAME, JSON, TOML, holds_settings, sets_ours
    from nightjar.config.sources import Sources

    there = []
    dotenv, toml = place / DOTENV, place / TOML
    read = Sources.read({}, dotenv if dotenv.is_file() else None, None)
    for settings in (toml, place / JSON):
        if settings.is_file() and (settings.name == TOML or holds_settings(settings)):
            table = Sources.read({}, None, settings).toml
            names = ", ".join(dotted(path) for path, _ in table_leaves(table, ())) or "nothing"
            there.append(f"{settings.name}, which sets {names}")
    if sets_ours(dotenv):
        names = ", ".join(name for name in read.dotenv if name.upper().startswith(("NIGHTJAR_", "HF_", "OLLAMA_")))
        there.append(f"{DOTENV}, which sets {names}")
    if (place / HOME_NAME).exists():
        there.append(f"{HOME_NAME}, a home with servers, models and runs of its own")
    return [" ".join(plain(item).split()) for item in there]


def _ask(place: Path, there: list[str]) -> None:
    """Raises UsageError where nobody can answer, Abort where the answer is no."""
    import sys

    what = f"There is in {plain(str(place))} already: {'; '.join(there)}."
    if not sys.stdin.isatty():
        raise UsageError(f"{what} Look at it, and give --yes if all of it is yours.")
    typer.echo(what)
    typer.confirm("It would count from now on. Is all of it yours?", abort=True)


def _write_example(place: Path) -> None:
    """All settings as comments, and nothing of the home in anybody's version control."""
    from nightjar.config import project

    toml, ignore = place / project.TOML, place / project.HOME_NAME / ".gitignore"
    example = Path(project.__file__).with_name("nightjar.example.toml").read_text("utf-8")
    if not toml.exists() and not (place / project.JSON).exists():
        toml.write_text(example, encoding="utf-8")
    if not ignore.exists():
        ignore.write_text(project.ALL_IGNORED, encoding="utf-8")
