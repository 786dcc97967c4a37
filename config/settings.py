"""What can be set, and the only reader of the environment.

Sources; the first that has a key wins: environment (NIGHTJAR_*), `.env`, `nightjar.toml`, default. Both files are
looked for in the current folder, then in the project; `config/nightjar.toml` there is the last place for the TOML.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from nightjar.config.errors import SettingsError
from nightjar.config.keys import PREFIX, KeyPath, check_table, check_variables, dotted, key_paths, variable
from nightjar.config.load_settings import LoadSettings
from nightjar.config.night_settings import NightSettings
from nightjar.config.project import PACKAGED_MODELS, is_checkout, project_folder
from nightjar.config.urls import check_mongo, check_ports, check_redis

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
_SECRETS = {"mongo_url", "redis_url", "hf_token", "webhook_secret", "smtp_password"}
_SHARED = {"hf_token", "hf_endpoint", "ollama_models"}
"""Also read under the names used by their own tools."""


def _models_file(data: dict[str, Any]) -> Path:
    """A package is not written to: what is installed keeps its registry under the home."""
    return PACKAGED_MODELS if is_checkout() or "home" not in data else data["home"] / PACKAGED_MODELS.name


def _in_project(path: Path) -> Path:
    try:
        return project_folder() / path.expanduser()
    except RuntimeError as error:  # ~nobody
        raise ValueError(str(error)) from None


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_references(references: tuple[str, ...]) -> tuple[str, ...]:
    for reference in references:
        if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", reference):
            raise ValueError(f"a list of module:attribute, separated by commas; {reference!r} is not one")
    return references


ProjectPath = Annotated[Path, AfterValidator(_in_project)]
References = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_check_references)]
MongoUrl = Annotated[SecretStr, AfterValidator(check_mongo)]
RedisUrl = Annotated[SecretStr, AfterValidator(check_redis)]


class Settings(BaseSettings):
    """All settings. Constructed directly, it reads neither environment nor files; `load_settings` does."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    home: ProjectPath = Path(".nightjar")
    """Everything Nightjar writes on its own. Relative paths are relative to the project."""
    models_dir: ProjectPath = Path("models")
    reports_dir: ProjectPath = Field(default_factory=lambda data: data["home"] / "reports")
    models_file: ProjectPath = Field(default_factory=_models_file)

    mongo_url: MongoUrl | None = None
    """None: an embedded mongod."""
    mongo_database: str = Field("nightjar", pattern=r"^[A-Za-z0-9_-]{1,60}$")
    redis_url: RedisUrl | None = None
    """None: an embedded redis-server."""
    mongo_cache_gb: float = Field(0.5, ge=0.25, le=1024)
    """WiredTiger cache of the embedded mongod."""
    embedded_ports: Annotated[str, AfterValidator(check_ports)] | None = None
    """`first-last`: ports of 127.0.0.1 for the embedded servers; None: Unix sockets, else any free ones."""

    model: LoadSettings = LoadSettings()
    night: NightSettings = NightSettings()

    lease_s: float = Field(30, ge=1, le=3600)
    """A job that its worker has not renewed for this long goes back to PENDING."""
    beat_s: float = Field(2, ge=0.1, le=60)
    drain_s: float = Field(30, ge=0, le=86_400)
    """Time for running turns to finish after SIGTERM."""

    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    debug: bool = False
    offline: bool = False
    """Never contact the model hub."""
    hf_token: SecretStr | None = Field(None, validation_alias=AliasChoices("hf_token", "nightjar_hf_token"))
    hf_endpoint: str | None = Field(None, validation_alias=AliasChoices("hf_endpoint", "nightjar_hf_endpoint"))

    scorers: References = ()
    """The user's own scorers and checks, "module:attribute", loaded where replies are scored."""
    scoring_timeout_s: float = Field(60, ge=1, le=86_400)
    """How long scoring one conversation may take before its process is ended. For slow scorers of one's own: more."""
    phrases_file: ProjectPath | None = None
    """A list of overused phrases, one per line, for the measure `overused`; None: the one that comes with Nightjar."""

    pull_on_use: bool = True
    """A worker may fetch a registered hub model that is not on its host."""
    ollama_models: Path | None = Field(None, validation_alias=AliasChoices("ollama_models", "nightjar_ollama_models"))
    """Ollama's store; None: Ollama's default place."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class _Discovered(Settings):
    """Settings from the environment and from the files that exist."""

    model_config = SettingsConfigDict(dotenv_filtering="only_existing")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls, settings_files()[1])


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process. Raises SettingsError for an unknown key or a value out of its range."""
    dotenv, toml = settings_files()
    variables = {"environment": dict(os.environ), str(dotenv): _read_dotenv(dotenv)}
    table = _read_toml(toml)
    paths = list(key_paths(Settings))
    for source, names in variables.items():
        check_variables(names, paths, source)
    check_table(table, paths, str(toml))
    try:
        settings = _Discovered(_env_file=dotenv)
    except ValidationError as error:
        raise SettingsError(" ".join(_explain(error, variables, table, str(toml)))) from None
    return Settings.model_construct(_fields_set=set(settings.model_fields_set), **dict(settings))


def settings_files() -> tuple[Path | None, Path | None]:
    """The `.env` and the TOML file in use; None if there is none."""
    project = project_folder()
    dotenv = [Path.cwd() / ".env", project / ".env"]
    toml = [Path.cwd() / "nightjar.toml", project / "nightjar.toml", project / "config" / "nightjar.toml"]
    return next(filter(Path.exists, dotenv), None), next(filter(Path.exists, toml), None)


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return {name: value or "" for name, value in dotenv_values(path).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Fix or remove it.") from None


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Fix or remove it.") from None


def _explain(
    error: ValidationError, variables: Mapping[str, Mapping[str, str]], table: Mapping[str, Any], toml: str
) -> Iterator[str]:
    """One sentence for each key with a bad value: name, source, value (never a secret's) and what is allowed."""
    known = set(key_paths(Settings))
    reasons: dict[KeyPath, list[str]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":
            continue  # follows from another error
        place = tuple(str(part) for part in detail["loc"])
        path = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in known or n == 0)
        allowed = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        reasons.setdefault(path, []).append(allowed.replace("String should match pattern", "text that matches"))
    for path, messages in reasons.items():
        name, source, value = _origin(path, variables, table, toml)
        shown = "" if path[-1] in _SECRETS else f" = {value!r}"
        yield f"{name}{shown} ({source}) is not allowed: it must be {' or '.join(dict.fromkeys(messages))}."


def _origin(
    path: KeyPath, variables: Mapping[str, Mapping[str, str]], table: Mapping[str, Any], toml: str
) -> tuple[str, str, Any]:
    """(name, source, value) of the key in the first source that has it."""
    wanted = {variable(path), path[-1].upper()} if path[-1] in _SHARED else {variable(path)}
    for source, values in variables.items():
        for name, value in values.items():
            if name.upper() in wanted:
                return name, source, value
    value_in_table: Any = table
    for key in path:
        value_in_table = value_in_table[key]
    return dotted(path), toml, value_in_table
