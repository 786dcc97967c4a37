"""The names that completion offers. It starts no server, waits for none for long, and says nothing when all fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError
from nightjar.scripts.completion.candidates import Wanted

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

USES = ("chat", "base", "embedding", "judge")
"""What `--for` takes."""


def known_names(wanted: Wanted) -> Iterable[str]:
    """What can be named here, as far as it is known without starting anything."""
    try:
        return _READERS[wanted]()
    except NightjarError:  # a person who presses Tab can do nothing about it now
        return ()


def _settings() -> Settings:
    from nightjar.config.settings import load_settings

    return load_settings()


def names_in_mongo(collection: str) -> list[str]:
    """Names in MongoDB, if it answers at once."""
    from nightjar.config.embedded import mongo_url, status
    from nightjar.jobs.stored_names import newest_names

    settings = _settings()
    if settings.mongo_url is None and status(settings)[0].state != "up":  # MongoDB is the first of the two
        return []
    try:
        return newest_names(mongo_url(settings, begin=False), settings.mongo_database, collection)
    except NightjarError:
        return []


def _models() -> Iterable[str]:
    from nightjar.scripts.options.run import local_models
    from nightjar.workers.library.ollama import ollama_names

    settings = _settings()
    return [*local_models(settings), *ollama_names(settings)]


def _suites() -> Iterable[str]:
    from nightjar.config.packaged import packaged

    return [*names_in_mongo("suites"), *packaged("suites")]


def _rubrics() -> Iterable[str]:
    from nightjar.config.packaged import packaged

    return packaged("rubrics")


def _starts() -> Iterable[str]:
    from nightjar.config.packaged import packaged

    return packaged("starts")


def _parameters() -> Iterable[str]:
    from nightjar.jobs.parameters import Parameters

    return [f"{name}=" for name in Parameters.model_fields]


def _measures() -> Iterable[str]:
    from nightjar.pipeline.scoring.measures_asked import known_measures

    return known_measures()


def _report_formats() -> Iterable[str]:
    from nightjar.pipeline.exports.write import FORMATS

    return FORMATS


def _suite_formats() -> Iterable[str]:
    from nightjar.pipeline.suites.read import Format

    return list(Format)


def _shells() -> Iterable[str]:
    from nightjar.scripts.completion.shells import SHELLS

    return SHELLS


_READERS: dict[Wanted, Callable[[], Iterable[str]]] = {
    Wanted.RUNS: lambda: names_in_mongo("runs"),
    Wanted.MODELS: _models,
    Wanted.SUITES: _suites,
    Wanted.SCHEDULES: lambda: names_in_mongo("schedules"),
    Wanted.RUBRICS: _rubrics,
    Wanted.PARAMETERS: _parameters,
    Wanted.MEASURES: _measures,
    Wanted.REPORT_FORMATS: _report_formats,
    Wanted.SUITE_FORMATS: _suite_formats,
    Wanted.LIKE: _starts,
    Wanted.USES: lambda: USES,
    Wanted.SHELLS: _shells,
}
