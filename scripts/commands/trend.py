"""`nightjar trend`: the nights of a suite side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.scripts.session import Session

app = typer.Typer(add_completion=False)


@app.command()
def trend(
    suite: Annotated[str, typer.Argument(help="Name of the suite.")],
    last: Annotated[int, typer.Option(help="Newest so many finished runs.", min=1)] = 60,
    formats: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="html or json; may be given several times.")
    ] = None,
    series: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only nights of this schedule, or of this name with {date}.")
    ] = None,
    nights_only: Annotated[bool, typer.Option("--nights-only", help="Leave out runs that were made by hand.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: the reports folder.")] = None,
    as_json: Json = False,
) -> None:
    """Write the trend page of a suite's nights; print what changed and its path.

    A night is a run of a schedule, or of a --name with {date}; runs by hand are shown apart and not compared.

    Example: nightjar trend story-starters --last 30
    """
    from nightjar.scripts.session import run_async

    which: dict[str, Any] = {"series": series, "by_hand": not nights_only}
    run_async(_trend(suite, last, formats or ["html"], out, which, as_json=as_json))


async def _trend(
    name: str, last: int, formats: list[str], out: Path | None, which: dict[str, Any], *, as_json: bool
) -> None:
    import asyncio

    from nightjar.config.errors import UnknownNameError
    from nightjar.config.version import NIGHTJAR_VERSION
    from nightjar.jobs.lookup import suite_names
    from nightjar.jobs.mongo import utc_now
    from nightjar.pipeline.ascii_numbers import plain_numbers
    from nightjar.pipeline.nights.night_store import read_nights
    from nightjar.pipeline.report.data.trend import trend as trend_of
    from nightjar.pipeline.report.formats.files import check_folder
    from nightjar.pipeline.report.formats.trend_write import check_trend_formats, write_trend
    from nightjar.scripts.session import open_session
    from nightjar.scripts.views.output import emit_json, plain

    chosen = check_trend_formats(formats)
    async with open_session(reading=True) as session:
        folder = out or session.settings.reports_dir
        check_folder(folder)
        nights = await read_nights(name, last, session.database, **which)
        if not nights:
            known = await suite_names(session.database)
            if name not in known:
                raise UnknownNameError("suite", name, known)
            await _refuse(name, last, which, session)
    shown = trend_of(name, nights, now=utc_now(), version=NIGHTJAR_VERSION)
    paths = await asyncio.to_thread(write_trend, shown, chosen, folder)
    if as_json:
        changes = [change.model_dump(mode="json") | {"words": plain_numbers(change.words)} for change in shown.changes]
        by_hand = sum(night.series is None for night in nights)
        counted = {"nights": len(nights), "by_hand": by_hand}  # of those rows, so many
        emit_json({"suite": name, **counted, "changes": changes, "files": [str(path) for path in paths]})
        return
    for change in shown.changes:
        compared = f"{change.night} compared with {change.before}"
        print(plain(f"{change.model}, {shown.headline or 'no metric'}: {change.words} ({compared})"))
    for path in paths:
        print(plain(str(path)))


async def _refuse(name: str, last: int, which: dict[str, Any], session: Session) -> NoReturn:
    """Raises UsageError: why a suite that is known has nothing to show."""
    from nightjar.config.errors import UnknownNameError, UsageError
    from nightjar.pipeline.nights.night_store import read_nights

    finished = await read_nights(name, last, session.database)
    if not finished:
        raise UsageError(f"No run of suite {name!r} has finished yet: `nightjar enqueue --suite {name} --model M`.")
    if which["series"] is not None:
        known = sorted({night.series for night in finished if night.series is not None})
        raise UnknownNameError(f"series of nights of suite {name!r}", which["series"], known)
    raise UsageError(
        f"Suite {name!r} has no nights, only runs by hand. `nightjar schedule add` makes nights; without --nights-only "
        "the runs are shown."
    )
