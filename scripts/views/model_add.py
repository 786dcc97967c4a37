"""What `nightjar model add` checks before it writes: a registry never names a model that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.workers.library.registry import RegistryEntry


def check_new(name: str, table: Mapping[str, Any], context: int | None, settings: Settings) -> None:
    """Raises a NightjarError for an entry that is not valid, or whose file, template or repository is not there.

    A hub that cannot be asked is no hindrance, and told.
    """
    from nightjar.workers.library.editing import check_entry
    from nightjar.workers.library.find import entry_of, resolve_template
    from nightjar.workers.library.inspect import check_context, inspect_file

    entry = check_entry(settings.models_file, name, table)
    resolve_template(name, entry, settings)
    if entry.repo is None:
        check_context(inspect_file(entry_of(name, entry, settings).path), context)
    else:
        _check_repository(entry, settings)


def checked_projector(file: Path, settings: Settings) -> str:
    """The projector's file as the registry stores it. Raises ModelFileError where there is none."""
    from nightjar.config.errors import ModelFileError
    from nightjar.workers.library.sources import portable_path

    if not file.expanduser().is_file():
        raise ModelFileError(f"There is no file {file}. A projector comes beside its model, mostly as mmproj-*.gguf.")
    return portable_path(file.expanduser(), settings)


def _check_repository(entry: RegistryEntry, settings: Settings) -> None:
    from nightjar.config.errors import HubError
    from nightjar.workers.library.hub import Hub
    from nightjar.workers.library.quants import choose_quant

    assert entry.repo is not None, "only a repository is asked for"
    try:
        listing = Hub(settings).listing(entry.repo, entry.revision)
    except HubError as error:
        print(plain(f"Note: {entry.repo} was not looked up. {error}"), file=sys.stderr)
        return
    choose_quant(entry.repo, listing.files, pattern=entry.file, quantisation=None, room_bytes=None)
