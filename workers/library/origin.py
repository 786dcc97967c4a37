"""Where a model on this machine came from, for anyone who wants the same one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ModelFileError, UnknownNameError
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.registry import read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class KnownOrigin:
    """What this machine knows about where a model of its own came from."""

    digest: str
    source: dict[str, Any]
    template: str | None
    """A chat template used instead of the file's own."""


def known_origins(places: Mapping[str, str], settings: Settings) -> dict[str, KnownOrigin]:
    """Where this machine's models came from; those it does not have are left out. `places`: name -> name or path."""
    known = {}
    for name, place in places.items():
        try:
            entry = find_model(place, settings)
            digest = entry_facts(entry).digest
        except (UnknownNameError, ModelFileError):
            continue
        known[name] = KnownOrigin(digest=digest, source=origin(entry, settings), template=entry.template)
    return known


def origin(entry: ModelEntry, settings: Settings) -> dict[str, Any]:
    """The hub's repository with its commit and files, the Ollama name, or the file's name; never a local path."""
    if entry.remote is not None:
        at = {"endpoint": entry.remote.endpoint, "host": entry.remote.at.host, "model": entry.remote.model}
        return at if entry.chain is None else at | {"compress": origin(entry.chain.compress, settings)}
    registered = read_registry(settings.models_file).models.get(entry.name)
    try:
        manifest = read_manifest(entry.path.parent)
    except ModelFileError:  # a damaged manifest beside a valid file says nothing
        manifest = None
    if manifest is not None and entry.path.name in {file.name for file in manifest.files}:
        return {
            "repo": manifest.repo,
            "revision": manifest.revision,
            "commit": manifest.commit,
            "file": manifest.files[0].name,
            "files": [file.model_dump() for file in manifest.files],
        }
    if registered is not None and registered.repo is not None:
        kept = {"repo": registered.repo, "revision": registered.revision, "file": registered.file}
        return {key: value for key, value in kept.items() if value is not None}
    if registered is not None and registered.ollama is not None:
        return {"ollama": registered.ollama}
    return {"file": entry.path.name}
