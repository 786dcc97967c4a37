"""Finding a suite by name: an imported one, else one that comes with Nightjar, imported on first use."""

from __future__ import annotations

import re
from pathlib import Path

import structlog

from nightjar.config.errors import UnknownNameError
from nightjar.config.packaged import packaged
from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.lookup import find_suite, suite_names
from nightjar.jobs.mongo import Database
from nightjar.pipeline.suites.content import NAME_PATTERN
from nightjar.pipeline.suites.importer import import_suite
from nightjar.pipeline.suites.read import read_suite

_log = structlog.get_logger()


def bundled() -> dict[str, Path]:
    """Suites that come with Nightjar: name -> file."""
    return packaged("suites")


async def take_suite(name: str, database: Database) -> tuple[SuiteVersion, bool]:
    """The newest version of a suite (or NAME@VERSION), and whether it is a bundled one that was imported just now.

    Raises UnknownNameError with the nearest names, including bundled ones.
    """
    files = bundled()
    try:
        return await find_suite(name, database), False
    except UnknownNameError:
        if name not in files:
            known = {*files, *await suite_names(database)}
            remedy = (
                "" if re.fullmatch(NAME_PATTERN + "|.*@.*", name) else "Names hold letters, digits, '.', '_', '-'. "
            )
            remedy += f"Is it a file? Import it first: `nightjar suite import {name}`." if _is_file(name) else ""
            raise UnknownNameError("suite", name, known, remedy.strip()) from None
    version, created = await import_suite(read_suite(files[name]), database)
    _log.info("bundled_suite_imported", suite=name, version=version.version, sequences=len(version.sequences))
    return version, created


def _is_file(name: str) -> bool:
    return Path(name).suffix.lower() in {".yaml", ".yml", ".json", ".jsonl", ".ndjson", ".csv"}
