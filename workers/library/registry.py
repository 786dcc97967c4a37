"""`models.toml`: the models this project knows by name, and how each is loaded.

It lies in the home. Until something is added there, the registry of the package counts, which is only read.

[NAME]                          quoted where it has a dot: ["llama-3.2-1b"]
path = "FILE.gguf"              one source of: path | repo (with file, revision) | ollama | endpoint (with model)
template, reasoning, tags, description, sha256, adapters, projector
[NAME.load]                     the keys of LoadSettings
[NAME.parameters]               generation parameters, a layer above the file's own
[endpoints.NAME]                a server that answers for models: see `endpoints`
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightjar.config.errors import ParameterError, SettingsError, UnknownNameError, suggest
from nightjar.config.load_settings import LoadSettings
from nightjar.config.project import PACKAGED_MODELS
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters, check
from nightjar.jobs.remote_models import Price
from nightjar.workers.library.endpoints import ENDPOINTS, RemoteEndpoint, parse_endpoint, unknown_endpoint

SOURCES = ("path", "repo", "ollama", "endpoint")
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$")


class Adapter(BaseModel):
    """A LoRA adapter for the model, with the scale at which it is applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1)
    scale: float = 1.0


class RegistryEntry(BaseModel):
    """A model as the registry has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """A file: absolute, or relative to `models/`, to the project or to the registry's folder."""
    repo: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
    """A repository of the hub, OWNER/NAME."""
    file: str | None = None
    """Pattern of the file in the repository ("*Q4_K_M*.gguf")."""
    revision: str | None = None
    """Branch, tag or commit; a pull pins it to the commit it found."""
    ollama: str | None = None
    """Name in the local Ollama store ("llama3.2:1b")."""
    endpoint: str | None = None
    """Name of an `[endpoints.NAME]`: the model answers there."""
    model: str | None = Field(None, min_length=1, max_length=200)
    """What the endpoint calls it."""
    kind: ModelKind | None = None
    """Of a model at an endpoint, which has no file that would tell; None: chat."""
    price: Price | None = None
    """Of a model at an endpoint; None: the endpoint's, else the list price where one is known."""
    omit: tuple[str, ...] = ()
    """Generation parameters that its endpoint is not sent: some models refuse a temperature."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the file, or of its parts in order."""
    load: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    template: str | None = None
    """A chat template used instead of the file's own, or the name of a .jinja file beside the registry."""
    reasoning: tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]] | None = None
    """Opening and closing marker of reasoning blocks."""
    adapters: tuple[Adapter, ...] = ()
    projector: str | None = Field(None, min_length=1)
    """The file with which it sees pictures ("mmproj-*.gguf"), found as `path` is."""
    tags: tuple[str, ...] = ()
    description: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> RegistryEntry:
        sources = [key for key in SOURCES if getattr(self, key) is not None]
        if len(sources) != 1:
            given = "none is given" if not sources else "given are " + " and ".join(sources)
            raise ValueError(f"a model has exactly one source, path, repo, ollama or endpoint; {given}")
        if self.repo is None and (self.file is not None or self.revision is not None):
            raise ValueError("file and revision belong to a repo, and there is none")
        if self.endpoint is not None and self.projector is not None:
            raise ValueError("a projector belongs to a file, and the model answers at an endpoint")
        if (self.endpoint is None) != (self.model is None):
            raise ValueError("endpoint and model belong together")
        if self.endpoint is None and (self.kind is not None or self.price is not None or self.omit):
            raise ValueError("kind, price and omit belong to an endpoint, and there is none")
        return self

    @property
    def source(self) -> str:
        """The source as it is shown: "hub OWNER/NAME FILE", "ollama NAME" or the path."""
        if self.repo is not None:
            return " ".join(filter(None, ("hub", self.repo, self.file, self.revision and f"@ {self.revision}")))
        if self.endpoint is not None:
            return f"endpoint {self.endpoint} {self.model}"
        return f"ollama {self.ollama}" if self.ollama is not None else str(self.path)


class Registry(BaseModel):
    """All models of one registry file."""

    model_config = ConfigDict(frozen=True)

    file: Path
    models: dict[str, RegistryEntry]
    endpoints: dict[str, RemoteEndpoint] = Field(default_factory=dict)

    def models_at(self, endpoint: str) -> list[str]:
        """Names of the models that answer there."""
        return [name for name, entry in self.models.items() if entry.endpoint == endpoint]


def find_endpoint(name: str, registry: Registry) -> RemoteEndpoint:
    """Raises UnknownNameError."""
    if name not in registry.endpoints:
        raise UnknownNameError("endpoint", name, registry.endpoints, "`nightjar endpoint add` makes one known.")
    return registry.endpoints[name]


def read_registry(file: Path) -> Registry:
    """Reads and validates the whole file; a missing one counts as the registry in the package.

    Raises SettingsError naming the file, the model and the key, with the nearest known key.
    """
    return parse_registry(registry_text(file), file)


def registry_text(file: Path) -> str:
    """The file's text; if it is missing, that of the registry in the package. Raises SettingsError."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return PACKAGED_MODELS.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}.") from None


def parse_registry(text: str, file: Path) -> Registry:
    """The registry in `text`; `file` is named in errors. Raises SettingsError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.") from None
    endpoints = _endpoints(tables.pop(ENDPOINTS, {}), file)
    models = {name: _entry(name, table, file) for name, table in tables.items()}
    for name, entry in models.items():
        if entry.endpoint is not None and entry.endpoint not in endpoints:
            raise SettingsError(f"{file}, model {name!r}: {unknown_endpoint(entry.endpoint, endpoints)}")
    return Registry(file=file, models=models, endpoints=endpoints)


def _endpoints(tables: Any, file: Path) -> dict[str, RemoteEndpoint]:
    if not isinstance(tables, dict) or tables.keys() & set(SOURCES):
        raise SettingsError(f"{file}: [{ENDPOINTS}] holds endpoints, [{ENDPOINTS}.NAME]; no model can be called so.")
    return {name: parse_endpoint(name, table, f"{file}, endpoint {name!r}") for name, table in tables.items()}


def _entry(name: str, table: Any, file: Path) -> RegistryEntry:
    where = f"{file}, model {name!r}"
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where}: a model's name has letters, digits and . _ : + - only, and begins with one.")
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: expected a table [{name}] with its source, found {table!r}.")
    _refuse_unknown(where, table, RegistryEntry, name)
    load = table.get("load", {})
    if isinstance(load, dict):
        _refuse_unknown(f"{where}, load", load, LoadSettings, name)
    try:
        entry = RegistryEntry.model_validate(table)
        LoadSettings.model_validate(entry.load)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_first(error)}.") from None
    try:
        check(entry.parameters, "models.toml")
    except ParameterError as error:
        raise SettingsError(f"{where}, parameters: {error}") from None
    return entry


def _refuse_unknown(where: str, table: dict[str, Any], model: type[BaseModel], name: str) -> None:
    for key, value in table.items():
        if key in model.model_fields:
            continue
        if isinstance(value, dict) and model is RegistryEntry:
            dotted = f"{name}.{key}"
            raise SettingsError(
                f"{where}: unknown table [{dotted}]. {suggest(key, model.model_fields)} "
                f'A model name with a dot is quoted: ["{dotted}"].'
            )
        if key in LoadSettings.model_fields and model is RegistryEntry:
            raise SettingsError(f"{where}: {key!r} is a load setting; it belongs under [{name}.load].")
        if key in Parameters.model_fields:
            raise SettingsError(f"{where}: {key!r} is a generation parameter; it belongs under [{name}.parameters].")
        raise SettingsError(f"{where}: unknown key {key!r}. {suggest(key, model.model_fields)}")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} is {first['input']!r}: {message}" if key else message
