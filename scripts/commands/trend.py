"""`nightjar trend`: the nights of a suite side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nightjar.scripts.views.output import Json

app = typer.Typer(add_completion=False)


@app.command()
def trend(
    suite: Annotated[str, typer.Argument(help="Name of the suite.")],
    last: Annotated[int, typer.Option(help="Newest so many finished runs.", min=1)] = 60,
    formats: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="html or json; may be given several times.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: the reports folder.")] = None,
    as_json: Json = False,
) -> None:
    """Write the trend page of a suite's nights; print what changed and its path.

    Example: nightjar trend story-starters --last 30
    """
    from nightjar.scripts.session import run_async

    run_async(_trend(suite, last, formats or ["html"], out, as_json=as_json))


async def _trend(name: str, last: int, formats: list[str], out: Path | None, *, as_json: bool) -> None:
    import asyncio

    from nightjar.config.errors import UnknownNameError, UsageError
    from nightjar.config.version import NIGHTJAR_VERSION
    from nightjar.jobs.documents import utc_now
    from nightjar.jobs.lookup import suite_names
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
        nights = await read_nights(name, last, session.database)
        if not nights:
            known = await suite_names(session.database)
            if name not in known:
                raise UnknownNameError("suite", name, known)
            raise UsageError(f"No run of suite {name!r} has finished yet: `nightjar enqueue --suite {name} --model M`.")
    shown = trend_of(name, nights, now=utc_now(), version=NIGHTJAR_VERSION)
    paths = await asyncio.to_thread(write_trend, shown, chosen, folder)
    if as_json:
        changes = [change.model_dump(mode="json") | {"words": plain_numbers(change.words)} for change in shown.changes]
        emit_json({"suite": name, "nights": len(nights), "changes": changes, "files": [str(path) for path in paths]})
        return
    for change in shown.changes:
        compared = f"{change.night} compared with {change.before}"
        print(plain(f"{change.model}, {shown.headline or 'no metric'}: {change.words} ({compared})"))
    for path in paths:
        print(plain(str(path)))
