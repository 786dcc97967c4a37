"""Where a model on this machine came from, for anyone who wants the same one elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.registry import read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


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
