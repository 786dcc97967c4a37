"""From a name or a path to a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from nightjar.config.errors import ModelError, ModelFileError, SettingsError, UnknownNameError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.project import HOME_NAME, PACKAGED_MODELS
from nightjar.jobs.models import ModelKind
from nightjar.workers.library.endpoints import RemoteEndpoint
from nightjar.workers.library.gguf.split import is_later_part, parts_of
from nightjar.workers.library.manifest import Manifest, read_manifest
from nightjar.workers.library.names import distinct_names
from nightjar.workers.library.no_model import folder_refusal, refusal
from nightjar.workers.library.ollama import find_ollama, ollama_names, with_tag
from nightjar.workers.library.registry import Registry, RegistryEntry, read_registry

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RemoteTarget:
    """Where a model answers that has no file."""

    endpoint: str
    at: RemoteEndpoint
    model: str
    kind: ModelKind
    context: int | None
    omit: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model that can be served: its file and how to load it, or the endpoint where it answers."""

    name: str
    path: Path
    """The file, or the first part of a split file; of a remote model what stands for it, ENDPOINT/MODEL."""
    load: LoadSettings
    parameters: dict[str, Any]
    """From the registry; empty if the registry has none."""
    template: str | None
    """A chat template to use instead of the file's own."""
    reasoning: tuple[str, str] | None
    system: str | None = None
    """For conversations without a system message: SYSTEM of a Modelfile."""
    tags: tuple[str, ...] = ()
    adapters: tuple[tuple[Path, float], ...] = ()
    """LoRA adapters and their scales."""
    projector: Path | None = None
    """With which it sees pictures."""
    remote: RemoteTarget | None = None
    """None: the model is a file."""


def find_model(name_or_path: str, settings: Settings) -> ModelEntry:
    """Finds a registered name, a file name in `models/`, a model of the Ollama store, or the path of any file.

    A file outside `models/` is called after itself, with its folder where that is the name of another model.
    Load settings: the defaults of `settings.model`, over them those of the registry. Raises UnknownNameError with the
    nearest names, and ModelFileError if the name is known but its file is missing.
    """
    registry = read_registry(settings.models_file)
    if name_or_path in registry.models:
        return _registered(name_or_path, registry, settings)
    shelf = shelf_files(settings.models_dir)
    if name_or_path in shelf:
        return _bare(name_or_path, shelf[name_or_path], settings)
    stored = ollama_names(settings)
    if (name := with_tag(name_or_path.removeprefix("ollama:"))) in stored:
        return entry_of(name, RegistryEntry(ollama=name), settings)
    if looks_like_path(name_or_path):
        pulled = next((name for name, entry in registry.models.items() if entry.repo == name_or_path), None)
        if pulled is not None:
            return _registered(pulled, registry, settings)
        if (error := refusal(name_or_path)) is not None:
            raise error
        path = Path(name_or_path).expanduser()
        return _of_path(path, registry, settings)
    raise UnknownNameError(
        "model",
        name_or_path,
        [*registry.models, *shelf, *stored],
        "`nightjar model list` shows all, `nightjar model add` makes one known, or give the path of a .gguf file.",
    )


def find_file(name_or_path: str, settings: Settings) -> ModelEntry:
    """Like `find_model`, for what only a file can do. Raises ModelError for a model at an endpoint."""
    entry = find_model(name_or_path, settings)
    if entry.remote is not None:
        raise ModelError(
            f"The model {entry.name!r} answers at the endpoint {entry.remote.endpoint!r}; that takes a model's file. "
            f"`nightjar endpoint test {entry.remote.endpoint}` says whether it answers."
        )
    return entry


def told_apart(entries: Sequence[ModelEntry]) -> list[ModelEntry]:
    """The same entries, each file under a name of its own: where several share one, their folders are added."""
    files: dict[str, set[Path]] = {}
    for entry in entries:
        files.setdefault(entry.name, set()).add(entry.path)
    shared = {name for name, paths in files.items() if len(paths) > 1}
    names = distinct_names((entry.path for entry in entries if entry.name in shared), taken=files.keys() - shared)
    return [replace(entry, name=names[entry.path]) if entry.name in shared else entry for entry in entries]


def looks_like_path(text: str) -> bool:
    """True if the text means a file: it ends in .gguf or has a separator."""
    return text.lower().endswith(".gguf") or "/" in text or text.startswith("~")


def shelf_files(models_dir: Path) -> dict[str, Path]:
    """Model files under `models/` by the pulled model's name, else the file's.

    Of files with the same name the first in path order has it; to those of the others their folders are added.
    """
    files: dict[str, Path] = {}
    bare: list[Path] = []
    for path in gguf_files(models_dir):
        manifest = _sound_manifest(path.parent)
        if manifest is not None and path.name == manifest.files[0].name:
            files.setdefault(manifest.name, path)
        else:
            bare.append(path)
    for path in bare:
        files[distinct_names([path], taken=files)[path]] = path
    return files


def _sound_manifest(folder: Path) -> Manifest | None:
    """The manifest, or None if it is damaged; then its files are listed under their own names."""
    try:
        return read_manifest(folder)
    except ModelFileError as error:
        _log.warning("manifest_damaged", reason=str(error))
        return None


def path_bases(settings: Settings) -> tuple[Path, ...]:
    """The folders in which relative paths of the registry are looked up, in order."""
    folder = settings.models_file.absolute().parent
    project = folder.parent if folder.name in (HOME_NAME, "config") else folder
    return settings.models_dir.absolute(), project, folder, PACKAGED_MODELS.parent.parent


def resolve_path(text: str, settings: Settings) -> Path:
    """Resolves a registry path: absolute, or under `models/`, the project, the registry's folder or the package."""
    path = Path(text).expanduser()
    if path.is_absolute():
        return path
    candidates = [base / path for base in path_bases(settings)]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0]).absolute()


def entry_path(name: str, entry: RegistryEntry, settings: Settings) -> Path:
    """The file of a registry entry. Raises ModelFileError, with the remedy, if it is not on this machine."""
    if entry.repo is not None:
        return pulled_path(name, entry, settings)
    if entry.ollama is not None:
        return find_ollama(entry.ollama, settings).path
    if entry.endpoint is not None:
        raise ModelFileError(f"The model {name!r} answers at the endpoint {entry.endpoint!r}; it has no file.")
    assert entry.path is not None
    path = resolve_path(entry.path, settings)
    if not path.is_file():
        raise ModelFileError(
            f"The model {name!r} is registered in {settings.models_file} with the file {entry.path}, and there is no "
            f"such file (looked at {path}). Put it there, or correct `path`."
        )
    return path


def pulled_path(name: str, entry: RegistryEntry, settings: Settings) -> Path:
    """The first file of a pulled model. Raises ModelFileError if it was not pulled."""
    folder = settings.models_dir / name
    manifest = read_manifest(folder)
    if manifest is None:
        raise ModelFileError(
            f"The model {name!r} comes from the hub ({entry.source}) and is not on this machine. "
            f"Fetch it: nightjar model pull {name}."
        )
    return folder / manifest.files[0].name


def _registered(name: str, registry: Registry, settings: Settings) -> ModelEntry:
    entry = registry.models[name]
    if entry.endpoint is not None:
        return remote_entry(name, entry, registry.endpoints[entry.endpoint], settings)
    return entry_of(name, registry.models[name], settings)


def entry_of(name: str, entry: RegistryEntry, settings: Settings) -> ModelEntry:
    """A registry entry, ready to load. Raises ModelFileError if its file is not on this machine."""
    stored = find_ollama(entry.ollama, settings) if entry.ollama is not None else None
    given = {"context": stored.context} if stored is not None and stored.context else {}
    adapters = [(resolve_path(adapter.path, settings), adapter.scale) for adapter in entry.adapters]
    return ModelEntry(
        name=name,
        path=stored.path if stored is not None else parts_of(entry_path(name, entry, settings))[0],
        load=LoadSettings.model_validate({**settings.model.model_dump(exclude_unset=True), **given, **entry.load}),
        parameters={**(stored.parameters if stored is not None else {}), **entry.parameters},
        template=resolve_template(name, entry, settings) or (stored.template if stored is not None else None),
        reasoning=entry.reasoning,
        system=stored.system if stored is not None else None,
        tags=entry.tags,
        projector=None if entry.projector is None else resolve_path(entry.projector, settings),
        adapters=(*((path, 1.0) for path in (stored.adapters if stored is not None else ())), *adapters),
    )


def remote_entry(name: str, entry: RegistryEntry, endpoint: RemoteEndpoint, settings: Settings) -> ModelEntry:
    """A registry entry whose model answers at that endpoint."""
    assert entry.endpoint is not None
    assert entry.model is not None
    load = LoadSettings.model_validate(entry.load)
    slots = {} if "slots" in entry.load else {"slots": endpoint.limits.concurrency}
    return ModelEntry(
        name=name,
        path=Path(entry.endpoint, entry.model),
        load=load.model_copy(update=slots),
        parameters=dict(entry.parameters),
        template=None,
        reasoning=entry.reasoning,
        tags=entry.tags,
        remote=RemoteTarget(
            endpoint=entry.endpoint,
            at=endpoint.model_copy(update={"price": entry.price or endpoint.price}),
            model=entry.model,
            kind=entry.kind or ModelKind.CHAT,
            context=load.context or endpoint.context,
            omit=entry.omit,
        ),
    )


def _of_path(path: Path, registry: Registry, settings: Settings) -> ModelEntry:
    if path.is_dir():
        raise folder_refusal(path, list(gguf_files(path)))
    first = parts_of(path)[0].absolute()
    for name, entry in registry.models.items():
        if entry.path is not None and resolve_path(entry.path, settings) == first:
            return _registered(name, registry, settings)
    shelf = shelf_files(settings.models_dir)
    taken = {*registry.models, *ollama_names(settings)}
    known = next((name for name, file in shelf.items() if file.absolute() == first and name not in taken), None)
    taken |= shelf.keys()
    return _bare(known or distinct_names([first], taken)[first], first, settings)


def _bare(name: str, path: Path, settings: Settings) -> ModelEntry:
    return ModelEntry(
        name=name, path=parts_of(path)[0].absolute(), load=settings.model, parameters={}, template=None, reasoning=None
    )


def resolve_template(name: str, entry: RegistryEntry, settings: Settings) -> str | None:
    """The registry's template text; a file is looked up beside the registry, then like models. Raises SettingsError."""
    if entry.template is None or not entry.template.endswith(".jinja"):
        return entry.template
    folder = settings.models_file.absolute().parent
    beside = (folder, *path_bases(settings), PACKAGED_MODELS.parent)
    file = next((base / entry.template for base in beside if (base / entry.template).exists()), folder / entry.template)
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{settings.models_file}, model {name!r}: the template {file}: {error.strerror}.") from None


NOT_FILES = ("/proc", "/sys", "/dev")
"""Folders of the system that hold no files on a disk."""


def gguf_files(folder: Path) -> Iterator[Path]:
    """The model files in a folder and below it; of a split one the first part."""
    found: list[Path] = []
    for parent, below, names in os.walk(folder):  # passes over folders that cannot be read, or go meanwhile
        below[:] = [name for name in below if not name.startswith(".") and f"{parent}{name}" not in NOT_FILES]
        found += [Path(parent, name) for name in names if name.endswith(".gguf") and not name.startswith(".")]
    yield from (path for path in sorted(found) if path.is_file() and not is_later_part(path.name))
