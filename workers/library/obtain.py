"""Fetches a model that this host lacks when it is first used, if that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import structlog

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.memory_model import room_here
from nightjar.workers.library.pull import PullProgress, pull
from nightjar.workers.library.registry import read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

_log = structlog.get_logger()


def obtain(name: str, settings: Settings, progress: Callable[[], AbstractContextManager[PullProgress]]) -> ModelEntry:
    """Like `find_model`, but first pulls a model that is not here if the registry names its repository.

    `progress` is opened for a pull only. Raises what `find_model` and `pull` raise; without `pull_on_use` a model that
    is not here stays an error that names the command to fetch it.
    """
    try:
        return find_model(name, settings)
    except ModelFileError:
        entry = read_registry(settings.models_file).models.get(name)
        missing = entry is not None and entry.repo is not None and read_manifest(settings.models_dir / name) is None
        if entry is None or not missing or settings.offline or not settings.pull_on_use:
            raise
    _log.info("model_pulled_on_use", model=name, repo=entry.repo)
    with progress() as shown:
        pull(name, entry, settings, progress=shown, room_bytes=memory_for_models(settings))
    return find_model(name, settings)


def memory_for_models(settings: Settings) -> int:
    """Bytes a model may take here: a share of the best GPU's memory, or of the host's if that is more."""
    room = room_here(settings)
    return int(max(room.gpu, room.host) * settings.model.memory_share)
