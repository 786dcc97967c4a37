"""`nightjar run export` and `import`: a run in one file, and the same run on another machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import OutputError, UnknownNameError, UsageError
from nightjar.config.files import users_umask

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.models import ModelFacts
    from nightjar.pipeline.runs.repeat import Imported, Origin
    from nightjar.scripts.session import Session


async def export_to(name: str, out: Path | None) -> Path:
    """Writes the run's file, `NAME.run.json` where no other is named; its path. Raises OutputError."""
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.report.data.safe import slug
    from nightjar.pipeline.runs.repeat import export_run, models_to_find
    from nightjar.scripts.session import open_session

    async with open_session(reading=True) as session:
        run = await find_run(name, session.database)
        known = origins(models_to_find(run), session.settings)
        file = await export_run(run, session.database, known)
    path = out or Path(f"{slug(run.name, run.id)}.run.json")
    _write(path, file.model_dump_json(indent=1) + "\n")
    return path


async def import_from(path: Path, *, name: str | None, other_models: bool) -> Imported:
    """Recreates suite and run of a file. Raises UsageError, RunConflictError, UnknownNameError."""
    from nightjar.pipeline.runs.repeat import import_run
    from nightjar.pipeline.runs.run_file import read_run_file
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.session import open_session
    from nightjar.scripts.views.wait import expansion_bar

    file = read_run_file(_read(path), path.name)
    async with open_session() as session:
        names = [model.name for model in (*file.models, *file.judges)]
        here = await _facts_here(names, session)
        known = origins({name: name for name in here}, session.settings)
        with expansion_bar() as progress:
            return await import_run(
                file,
                here,
                session.database,
                origins=known,
                name=name,
                other_models=other_models,
                closers=this_home(session.settings),
                progress=progress,
            )


def origins(places: Mapping[str, str], settings: Settings) -> Mapping[str, Origin]:
    """Where this machine's models came from; those it does not have are left out. `places`: name -> name or path."""
    from dataclasses import asdict

    from nightjar.pipeline.runs.repeat import Origin
    from nightjar.workers.library.origin import known_origins

    return {name: Origin(**asdict(known)) for name, known in known_origins(places, settings).items()}


async def _facts_here(names: Iterable[str], session: Session) -> dict[str, ModelFacts]:
    """Facts of the models that this machine has."""
    import asyncio

    from nightjar.workers.library.find import find_model
    from nightjar.workers.library.inspect import entry_facts

    facts = {}
    for name in names:
        try:
            entry = await asyncio.to_thread(find_model, name, session.settings)
        except UnknownNameError:
            continue
        facts[name] = await asyncio.to_thread(entry_facts, entry)
    return facts


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: Path, text: str) -> None:
    """All of the file or none of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as draft:
            try:
                draft.write(text)
                draft.flush()
                os.fsync(draft.fileno())
                os.replace(draft.name, path)
            except OSError:
                Path(draft.name).unlink(missing_ok=True)
                raise
        os.chmod(path, 0o666 & ~users_umask())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}. Name another file with --out.") from None
