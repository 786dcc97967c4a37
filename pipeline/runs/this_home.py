"""What this process is to the runs that it enqueues, and to those that it may close."""

from __future__ import annotations

import structlog

from nightjar.config.errors import SettingsError
from nightjar.config.home_id import home_id, home_name
from nightjar.config.settings import Settings
from nightjar.jobs.closers import Closers
from nightjar.pipeline.scoring.installed import installed_versions

_log = structlog.get_logger()


def this_home(settings: Settings) -> Closers:
    """The home and what scores in it. Where its scorers cannot be loaded nothing does, and it closes no run."""
    try:
        scorers = installed_versions()
    except SettingsError as error:
        _log.warning("scorers_not_loaded", error=str(error))
        scorers = None
    return Closers(home=home_id(settings.home), where=home_name(settings.home), scorers=scorers)
