"""A suite's file, uploaded: read by a child process in a folder that has nothing else, and stored as a version."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from fastapi.responses import JSONResponse

from nightjar.config.counting import how_many
from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.documents import SuiteVersion
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.declare import note_action, noting_failure
from nightjar.web.pages.words import path_to
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of

ENDINGS = (".yaml", ".yml", ".json", ".jsonl", ".ndjson", ".csv", ".parquet")
_NAME = re.compile(r"[\w][\w .()-]{0,119}")


@dataclass(frozen=True, kw_only=True)
class ImportedFile:
    """What came of a file. `created`: the version is new."""

    version: SuiteVersion
    created: bool
    notes: tuple[str, ...]
    """What was left out, and what a reader of the file should know."""


async def import_uploaded(request: Request) -> JSONResponse:
    """Says what came of the file in a sentence, and where the suite's page is."""
    imported = await import_body(request)
    version = imported.version
    what = f"{version.name}, version {version.version}: {how_many(len(version.sequences), 'sequence')}."
    said = f"Imported {what}" if imported.created else f"It was there already: {what}"
    return JSONResponse({"said": "\n".join([said, *imported.notes]), "to": path_to("suites", version.name)})


async def import_body(request: Request) -> ImportedFile:
    """The body is the file, and `file` of the query its name; every error of it is told with its line."""
    name = request.query_params.get("file", "")
    async with noting_failure(request, "import", name):
        found = await _import(name, await request.body(), request.query_params.get("skip", ""), site_of(request))
    await note_action(request, "import", found.version.name, "done")
    return found


async def _import(name: str, body: bytes, skip: str, site: Site) -> ImportedFile:
    from nightjar.pipeline.suites.content import SuiteContent
    from nightjar.pipeline.suites.importer import import_suite

    if not _NAME.fullmatch(name) or not name.lower().endswith(ENDINGS):
        raise UsageError(f"A suite's file is called like tales.yaml; endings: {', '.join(ENDINGS)}.")
    with tempfile.TemporaryDirectory(prefix="nightjar-suite-") as folder:
        file = Path(folder) / name
        await asyncio.to_thread(file.write_bytes, body)
        task = HeavyTask(kind="suite", arguments=(str(file), skip), version="once")
        try:
            ready = await site.heavy.look(task, patience_s=2.0 * site.heavy.limit_s)
        except NightjarError as error:
            raise UsageError(str(error)) from None
        if ready is None:
            raise UsageError("The file took too long to read.")
        told = json.loads(await asyncio.to_thread(ready.read_text, "utf-8"))
        await site.heavy.forget(task)
    content = SuiteContent.model_validate(told["content"]).model_copy(update={"left_out": tuple(told["left_out"])})
    version, created = await import_suite(content, site.database)
    notes = (*(f"Left out: {text}" for text in told["left_out"]), *told["notes"])
    return ImportedFile(version=version, created=created, notes=notes)


ROUTES = (Route(method="POST", path="/suites/import", action=Action.RUN, answer=import_uploaded),)
