"""The settings of the server in a process that it has started: its folders are handed over."""

from __future__ import annotations

import json
from pathlib import Path

from nightjar.config.settings import Settings, load_settings


def settings_in(places: str) -> Settings:
    """`places`: the server's folders, as JSON."""
    return load_settings().model_copy(update={name: Path(path) for name, path in json.loads(places).items()})
