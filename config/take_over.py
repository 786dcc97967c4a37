"""Data that the server's program cannot simply open: taken over on a copy, put aside, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from nightjar.config.errors import NightjarError, OutputError, ServiceError
from nightjar.config.files import private_folder
from nightjar.config.programs import Kind, Program
from nightjar.config.releases import between, series
from nightjar.config.server_record import Place, ServerRecord

_log = structlog.get_logger()


def take_over(
    kind: Kind, place: Place, record: ServerRecord, program: Program, try_on: Callable[[Place], None]
) -> ServerRecord:
    """Makes the data ready for this program; returns the record, changed where data were put aside.

    MongoDB's are opened by a program of the next series on a copy (`try_on`), where its compatibility version is
    stepped; the original stays beside it. Raises ServiceError, the data untouched, where that is not possible.
    """
    trial = replace(place, data=_beside(place, "trial"), record=place.record.with_suffix(".trial.json"))
    if trial.data.is_dir() and not any(place.data.iterdir()):  # ended between the two renames
        place.data.rmdir()
        trial.data.rename(place.data)
    if series(record.version) == series(program.version) or not any(place.data.iterdir()):
        return record
    if kind.stored:
        return put_aside(kind, place, record) or record
    _refuse_leaps(kind, place, record, program)
    _check_room(kind, place)
    shutil.rmtree(trial.data, ignore_errors=True)
    try:
        shutil.copytree(place.data, trial.data)
        try_on(trial)
    except (NightjarError, OSError) as error:
        shutil.rmtree(trial.data, ignore_errors=True)
        raise ServiceError(
            f"{_used_by(kind, record)}, and {kind.program} {program.version} cannot take over a copy of them: {error} "
            f"The data in {place.data} are untouched. {_remedy(kind, record)}"
        ) from error
    finally:
        trial.record.unlink(missing_ok=True)
    kept = _free_name(_beside(place, f"of-{record.version}"))
    place.data.rename(kept)
    trial.data.rename(place.data)
    _log.warning("server_data_taken_over", server=kind.name, by=program.version, original=str(kept))
    return record


def put_aside(kind: Kind, place: Place, record: ServerRecord) -> ServerRecord | None:
    """Moves stored data that the server can do without, and notes where they are; None if there are none."""
    stored = [place.data / name for name in kind.stored if (place.data / name).exists()]
    if not stored:
        return None
    folder = place.data / "put-aside"
    shutil.rmtree(folder, ignore_errors=True)
    private_folder(folder)
    for path in stored:
        path.replace(folder / path.name)
    _log.warning("server_data_put_aside", server=kind.name, folder=str(folder), log=str(place.log))
    return replace(record, put_aside=str(folder))


def _refuse_leaps(kind: Kind, place: Place, record: ServerRecord, program: Program) -> None:
    step = between(record.version, program.version)
    if step == series(program.version):
        return
    if step is None:
        why = f"{kind.program} {program.version} is not known to open what that version wrote."
    else:
        why = f"to reach {program.version} they have to go through {step} first, one major version at a time."
    raise ServiceError(
        f"{_used_by(kind, record)}: {why} The data in {place.data} are untouched. {_remedy(kind, record, step)}"
    )


def _used_by(kind: Kind, record: ServerRecord) -> str:
    return f"{kind.title} cannot start: its data were last used by {kind.program} {record.version}"


def _remedy(kind: Kind, record: ServerRecord, step: str | None = None) -> str:
    through = f", or {step} to take that step," if step else ""
    return (
        f"Put {kind.program} {series(record.version)}{through} first on PATH, or set NIGHTJAR_HOME to another folder "
        "to begin with an empty one."
    )


def _check_room(kind: Kind, place: Place) -> None:
    needed = sum(file.stat().st_size for file in place.data.rglob("*") if file.is_file())
    free = shutil.disk_usage(place.data).free
    if free < 1.1 * needed:
        raise OutputError(
            f"{kind.title} cannot start: another version takes over a copy of its data, which needs "
            f"{needed / 2**20:.0f} MiB, and the disk of {place.data} has {free / 2**20:.0f} MiB free. Free some space."
        )


def _beside(place: Place, what: str) -> Path:
    return place.data.with_name(f"{place.data.name}-{what}")


def _free_name(path: Path) -> Path:
    return next(p for p in (path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 1000))) if not p.exists())
