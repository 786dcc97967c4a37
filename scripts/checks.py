"""What `nightjar doctor` looks at: each check says how it is and, where it is not fine, what to do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import NightjarError

if TYPE_CHECKING:
    from config.settings import Settings

GIB = 2**30
MIN_FREE_DISK = 1 * GIB
LOW_FREE_DISK = 10 * GIB
LOW_MEMORY = 2 * GIB
MAX_SKEW_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    state: str
    """fine, warning or problem."""
    found: str
    remedy: str | None = None


async def all_checks(settings: Settings) -> list[Check]:
    """Every check, in the order shown. Starts no server and loads no model."""
    checks = [_settings(), _python(), *_programs(settings), *await _servers(settings)]
    checks += [*_disks(settings), _memory(), _cores(settings)]
    return [*checks, *_devices()]


def _settings() -> Check:
    from config.settings import settings_files

    found = [str(path) for path in settings_files() if path is not None]
    return Check(name="settings", state="fine", found="environment" + "".join(f", {path}" for path in found))


def _python() -> Check:
    return Check(
        name="python", state="fine", found=f"{sys.version.split()[0]}, nightjar {metadata.version('nightjar')}"
    )


def _programs(settings: Settings) -> Iterator[Check]:
    """The programs of the embedded servers, where there is no URL."""
    from config.embedded import embedded_kinds
    from config.programs import find_program

    for kind in embedded_kinds(settings):
        try:
            program = find_program(kind)
        except NightjarError as error:
            yield Check(name=kind.program, state="problem", found="cannot be used", remedy=str(error))
        else:
            yield Check(name=kind.program, state="fine", found=f"{program.version}, {program.path}")


async def _servers(settings: Settings) -> list[Check]:
    from scripts.servers import server_views

    checks = []
    for view in await server_views(settings):
        found = " ".join(part for part in (view.state, view.kind, view.address, view.version) if part)
        state = {"up": "fine", "down": "fine"}.get(view.state, "problem")
        checks.append(Check(name=view.name, state=state, found=found, remedy=view.reason))
        if view.name == "mongo" and view.state == "up":
            checks.append(await _clock(settings))
    return checks


async def _clock(settings: Settings) -> Check:
    """Leases run on MongoDB's clock; a host's own clock shows in its reports."""
    from datetime import UTC, datetime

    from config.embedded import service_urls
    from jobs.database import connect

    try:
        async with await connect(service_urls(settings).mongo, settings.mongo_database) as database:
            skew = (datetime.now(UTC) - await database.now()).total_seconds()
    except NightjarError as error:
        return Check(name="clock", state="problem", found="unknown", remedy=str(error))
    if abs(skew) <= MAX_SKEW_S:
        return Check(name="clock", state="fine", found=f"{abs(skew):.1f} s from MongoDB's")
    remedy = (
        "Jobs are safe, since leases run on MongoDB's clock. For true times in reports set this host's clock by NTP."
    )
    return Check(name="clock", state="warning", found=f"{skew:+.0f} s from MongoDB's", remedy=remedy)


def _disks(settings: Settings) -> Iterator[Check]:
    for name, folder in (("home", settings.home), ("models", settings.models_dir), ("reports", settings.reports_dir)):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        state = "problem" if free < MIN_FREE_DISK else "warning" if free < LOW_FREE_DISK else "fine"
        remedy = (
            None if state == "fine" else f"Make room, or set NIGHTJAR_{_variable(name)} to a folder on another disk."
        )
        if not _writable(there):
            state, remedy = "problem", f"It cannot be written: change its owner, or set NIGHTJAR_{_variable(name)}."
        yield Check(name=f"disk: {name}", state=state, found=f"{_gib(free)} free at {folder}", remedy=remedy)


def _variable(name: str) -> str:
    return "HOME" if name == "home" else f"{name.upper()}_DIR"


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK | os.X_OK)


def _memory() -> Check:
    from config.hardware import memory_available, memory_limit

    available, limit = memory_available(), memory_limit()
    low = available < LOW_MEMORY
    return Check(
        name="memory",
        state="warning" if low else "fine",
        found=f"{_gib(available)} available of {_gib(limit)} that this process may use",
        remedy="End what else runs here, or load smaller models and contexts." if low else None,
    )


def _cores(settings: Settings) -> Check:
    import os

    from config.hardware import usable_cores

    usable, all_cores = usable_cores(), os.cpu_count() or 1
    found = f"{usable} usable of {all_cores}"
    threads = settings.model.threads
    if threads != "auto" and threads > usable:
        remedy = f"NIGHTJAR_MODEL__THREADS is {threads}: more threads than cores slow generation down. Leave it out."
        return Check(name="cores", state="warning", found=found, remedy=remedy)
    return Check(name="cores", state="fine", found=found)


def _devices() -> Iterator[Check]:
    """The cards of this machine, and whether this build of llama.cpp can use them."""
    from workers.engine.llama.devices import gpus
    from workers.gpu import list_cards

    cards = list_cards()
    for card in cards:
        size = "" if card.memory_bytes is None else f", {_gib(card.memory_bytes)}"
        yield Check(name=f"gpu {card.index}", state="fine", found=f"{card.name}{size}, {card.uuid}")
    if not cards:
        yield Check(name="gpu", state="fine", found="no NVIDIA card: models run on the CPU, or on Metal where it is")
    usable = gpus()
    build = f"llama-cpp-python {metadata.version('llama-cpp-python')}, "
    build += ", ".join(gpu.description for gpu in usable) if usable else "CPU only"
    if cards and not usable:
        remedy = (
            "This build cannot use the cards. Build it again with CUDA: "
            'CMAKE_ARGS="-DGGML_CUDA=on" .venv/bin/pip install --no-build-isolation --no-deps --force-reinstall '
            f"--no-binary llama-cpp-python llama-cpp-python=={metadata.version('llama-cpp-python')}"
        )
        yield Check(name="llama.cpp", state="warning", found=build, remedy=remedy)
    else:
        yield Check(name="llama.cpp", state="fine", found=build)


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
