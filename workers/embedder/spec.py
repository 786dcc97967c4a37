"""What the small embedder's process is started with, and where it listens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from nightjar.config.endpoint import socket_path
from nightjar.config.files import make_folder
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import ModelFacts
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.library.memory_model import find_memory_model

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

MOST_REQUEST = 16_000_000
"""Bytes of the texts of one request."""
READY = "ready"
"""What the process says when it listens; anything else is why it does not."""


class EmbedderSpec(BaseModel):
    """One host's small embedder: the same for all processes of a home, which so share it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Path
    """In a folder that only this user can enter."""
    lock: Path
    """Held by whoever starts it."""
    path: Path
    facts: ModelFacts
    load: LoadSettings
    adapters: tuple[tuple[Path, float], ...] = ()


def read_embedder_spec(settings: Settings, needed_by: str) -> EmbedderSpec:
    """From the settings; hashes the model's file the first time. `needed_by`: what cannot be had without it.

    Raises ModelError, with what to pull, where none is set or it generates text; UnknownNameError; ModelFileError;
    ServiceError where no socket can lie.
    """
    entry = find_memory_model(settings, needed_by)
    facts = entry_facts(entry, DigestCache(settings.home / "digests.json"))
    make_folder(settings.home)
    socket = socket_path(settings.home, f"embed-{facts.digest[:6]}")
    return EmbedderSpec(
        socket=socket,
        lock=Path(os.fspath(socket) + ".lock"),
        path=entry.path,
        facts=facts,
        load=entry.load,
        adapters=entry.adapters,
    )
