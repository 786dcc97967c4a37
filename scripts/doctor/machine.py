"""The checks of `nightjar doctor` on this machine and its services."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError
from nightjar.config.installation import rebuild_line
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.machines.doing import BUSY_CORES
from nightjar.scripts.doctor.check import GIB, Check, gib
from nightjar.scripts.doctor.programs import program_checks
from nightjar.scripts.doctor.work import CRASHES_OF_S, model_checks, work_checks

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

MIN_FREE_DISK = 1 * GIB
LOW_FREE_DISK = 10 * GIB
LOW_MEMORY = 2 * GIB
MAX_SKEW_S = 2.0
LOOKED_S = 0.7
"""How long it is looked at what others compute."""


async def all_checks(settings: Settings) -> list[Check]:
    """Every check, in the order shown. Starts no server and loads no model."""
    checks = [*_settings(settings), _python(), *program_checks(settings), *await _servers(settings)]
    checks += [*_disks(settings), _memory(), _cores(settings), *_devices()]
    return [*checks, *model_checks(settings), *await _work(settings, checks)]


def _settings(settings: Settings) -> Iterator[Check]:
    """The project, every settings file in use, and what does not count."""
    from nightjar.config.files import open_to_others
    from nightjar.config.settings import current_project, read_settings, settings_files

    project = current_project()
    yield Check(name="project", state="fine", found=f"{project.folder}, {project.why}")
    files = [str(path) for path in settings_files() if path is not None]
    yield Check(name="settings", state="fine", found="environment" + "".join(f", {path}" for path in files))
    registry = settings.models_file
    there = "" if registry.exists() else ", not there yet"
    yield Check(name="registry", state="fine", found=f"{registry}{there}")
    for notice in read_settings()[1]:
        found, _, remedy = notice.partition(". ")
        yield Check(name="settings", state="warning", found=found, remedy=remedy)
    if open_to_others(settings.home):
        remedy = f"It holds passwords, replies and reports: chmod 700 {shlex.quote(str(settings.home))}"
        yield Check(name="home", state="warning", found=f"{settings.home} is open to other users", remedy=remedy)


def _python() -> Check:
    return Check(name="python", state="fine", found=f"{sys.version.split()[0]}, nightjar {NIGHTJAR_VERSION}")


async def _servers(settings: Settings) -> list[Check]:
    from nightjar.scripts.views.servers import server_views

    checks = []
    for view in await server_views(settings):
        description = " ".join(part for part in (view.state, view.kind, view.address, view.version) if part)
        states = {"up": "warning" if view.reason else "fine", "down": "fine", "starting": "warning"}
        state = states.get(view.state, "problem")
        checks.append(Check(name=view.name, state=state, found=description, remedy=view.reason))
    return checks


async def _work(settings: Settings, checks: list[Check]) -> list[Check]:
    """The clock and the queues, if MongoDB is up."""
    from nightjar.config.embedded import mongo_url
    from nightjar.config.errors import SchemaError
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.machines.workers import recent_crashes
    from nightjar.jobs.mongo import DatabaseError
    from nightjar.jobs.status.overview import read_overview
    from nightjar.jobs.status.views import ServiceState

    by_name = {check.name: check for check in checks}
    if not by_name["mongo"].found.startswith("up"):
        return []
    redis = ServiceState(ok=by_name["redis"].state != "problem", reason=by_name["redis"].found)
    try:
        async with await connect(mongo_url(settings), settings.mongo_database, access=Access.READ) as database:
            now, theirs = datetime.now(UTC), await database.now()
            crashes = await recent_crashes(CRASHES_OF_S, database)
            return [_clock((now - theirs).total_seconds()), *work_checks(await read_overview(database, redis), crashes)]
    except SchemaError as error:
        return [Check(name="schema", state="problem", found="of another version of Nightjar", remedy=str(error))]
    except (NightjarError, DatabaseError) as error:
        remedy = str(error) or "Look into MongoDB's log, and try again."
        return [Check(name="queues", state="problem", found="MongoDB went away meanwhile", remedy=remedy)]


def _clock(skew: float) -> Check:
    """Leases use MongoDB's clock, reports the host's. `skew`: seconds by which the host's clock is ahead."""
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
        yield Check(name=f"disk: {name}", state=state, found=f"{gib(free)} free at {folder}", remedy=remedy)


def _variable(name: str) -> str:
    return "HOME" if name == "home" else f"{name.upper()}_DIR"


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK | os.X_OK)


def _memory() -> Check:
    from nightjar.config.hardware import memory_available, memory_limit

    available, limit = memory_available(), memory_limit()
    low = available < LOW_MEMORY
    return Check(
        name="memory",
        state="warning" if low else "fine",
        found=f"{gib(available)} available of {gib(limit)} that this process may use",
        remedy="End what else runs here, or load smaller models and contexts." if low else None,
    )


def _cores(settings: Settings) -> Check:
    import os

    from nightjar.config.hardware import usable_cores

    usable, all_cores = usable_cores(), os.cpu_count() or 1
    count = f"{usable} usable of {all_cores}"
    others = _others_cores()
    if others > BUSY_CORES:
        count += f"; other processes take {others:.1f}"
    threads = settings.model.threads
    if threads != "auto" and threads > usable:
        remedy = f"NIGHTJAR_MODEL__THREADS is {threads}: more threads than cores slow generation down. Leave it out."
        return Check(name="cores", state="warning", found=count, remedy=remedy)
    if others > BUSY_CORES:
        remedy = "Models on the CPU are slower meanwhile, and speeds measured now say little."
        return Check(name="cores", state="warning", found=count, remedy=remedy)
    return Check(name="cores", state="fine", found=count)


def _others_cores() -> float:
    """Cores that other processes take, over a moment."""
    from nightjar.config.cpu_meter import CpuMeter

    meter = CpuMeter()
    sleep(LOOKED_S)
    return meter.others() or 0.0


def _devices() -> Iterator[Check]:
    """The GPUs of this machine, and whether this build of llama.cpp can use them."""
    from nightjar.workers.engine.llama.devices import gpus
    from nightjar.workers.process.gpus import list_cards

    cards = list_cards()
    for card in cards:
        size = "" if card.memory_bytes is None else f", {gib(card.memory_bytes)}"
        yield Check(name=f"gpu {card.index}", state="fine", found=f"{card.name}{size}, {card.uuid}")
    if not cards:
        yield Check(name="gpu", state="fine", found="no NVIDIA card: models run on the CPU, or on Metal where it is")
    usable = gpus()
    build = f"llama-cpp-python {metadata.version('llama-cpp-python')}, "
    build += ", ".join(gpu.description for gpu in usable) if usable else "CPU only"
    if cards and not usable:
        remedy = f"This build cannot use the cards. Build it again with CUDA: {rebuild_line('-DGGML_CUDA=on')}"
        yield Check(name="llama.cpp", state="warning", found=build, remedy=remedy)
    else:
        yield Check(name="llama.cpp", state="fine", found=build)
