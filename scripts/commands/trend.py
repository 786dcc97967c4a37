"""`nightjar trend`: the nights of a suite side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.output import Json

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
    """Write the trend page of a suite's nights and print its path. Example: nightjar trend story-starters --last 30"""
    from scripts.session import run_async

    run_async(_trend(suite, last, formats or ["html"], out, as_json=as_json))


async def _trend(name: str, last: int, formats: list[str], out: Path | None, *, as_json: bool) -> None:
    import asyncio
    import importlib.metadata

    from config.errors import UnknownNameError, UsageError
    from jobs.documents import utc_now
    from pipeline.night_store import read_nights
    from pipeline.report.files import check_folder
    from pipeline.report.trend import trend as trend_of
    from pipeline.report.trend_write import check_trend_formats, write_trend
    from scripts.output import emit_json, plain
    from scripts.session import open_session

    chosen = check_trend_formats(formats)
    async with open_session() as session:
        folder = out or session.settings.reports_dir
        check_folder(folder)
        nights = await read_nights(name, last, session.database)
        if not nights:
            known = await session.database.raw["suites"].distinct("name")
            if name not in known:
                raise UnknownNameError("suite", name, known)
            raise UsageError(f"No run of suite {name!r} has finished yet: `nightjar enqueue --suite {name} --model M`.")
    found = trend_of(name, nights, now=utc_now(), version=importlib.metadata.version("nightjar"))
    paths = await asyncio.to_thread(write_trend, found, chosen, folder)
    if as_json:
        emit_json({"suite": name, "nights": len(nights), "files": [str(path) for path in paths]})
        return
    for path in paths:
        print(plain(str(path)))
