"""Of the child processes' work, what makes files of a run: reports and exports, and the run's own file."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import PurePosixPath

from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import since_baseline
from nightjar.pipeline.exports.write import export_files
from nightjar.pipeline.runs.repeat import Origin, export_run, models_to_find
from nightjar.web.export_formats import IN_ARCHIVES
from nightjar.web.heavy.folders import settings_in
from nightjar.workers.library.origin import known_origins

_MADE_AT = (1980, 1, 1, 0, 0, 0)
"""Files of an archive have no time of their own: the same run gives the same archive."""


async def write_export(database: Database, run: str, form: str) -> bytes:
    """What `nightjar report --format` writes: the file, or for formats that may have several an archive of them."""
    found = await find_run(run, database)
    report = await since_baseline(await collect(found.id, database), found, database)
    files = await asyncio.to_thread(lambda: [(path, _whole(pieces)) for path, pieces in export_files(report, form)])
    if form in IN_ARCHIVES:
        return await asyncio.to_thread(_archive, files)
    [(_, content)] = files
    return content


async def write_run_file(database: Database, places: str, run: str) -> str:
    """What `nightjar run export` writes. Raises UsageError for a run with policies."""
    found = await find_run(run, database)
    origins = await asyncio.to_thread(known_origins, models_to_find(found), settings_in(places))
    file = await export_run(found, database, {name: Origin(**asdict(known)) for name, known in origins.items()})
    return file.model_dump_json(indent=1) + "\n"


def _whole(pieces: Iterable[str | bytes]) -> bytes:
    return b"".join(
        piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace") for piece in pieces
    )


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files:
            archive.writestr(zipfile.ZipInfo(str(PurePosixPath(path)), _MADE_AT), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
