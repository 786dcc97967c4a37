"""What can be set, and the only reader of the environment.

Sources; the first that has a key wins: environment (NIGHTJAR_*), `.env`, `nightjar.toml`, default. Both files are the
project's (`config.project` says which folder that is); what lies in another folder is ignored and named.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from nightjar.config.errors import SettingsError
from nightjar.config.files import keep_private
from nightjar.config.keys import PREFIX, KeyPath, check_table, check_variables, key_paths
from nightjar.config.live_settings import LiveSettings
from nightjar.config.load_settings import LoadSettings
from nightjar.config.money_settings import MoneySettings
from nightjar.config.night_settings import NightSettings
from nightjar.config.project import CONFIG, PACKAGED_MODELS, Project, find_project, is_checkout
from nightjar.config.remote_settings import RemoteSettings
from nightjar.config.sources import ENVIRONMENT, Sources
from nightjar.config.urls import check_mongo, check_ports, check_redis

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
_SECRETS = {"mongo_url", "redis_url", "hf_token", "webhook_secret", "smtp_password"}


def _in_project(path: Path) -> Path:
    try:
        return current_project().folder / path.expanduser()
    except RuntimeError as error:  # ~nobody
        raise ValueError(str(error)) from None


def _named(value: Any) -> Any:
    if value == "":
        raise ValueError("a path; leave it out altogether for the default")
    return value


def _named_or_in_project(value: str) -> str:
    return str(_in_project(Path(value))) if "/" in value or value.startswith("~") else value


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_references(references: tuple[str, ...]) -> tuple[str, ...]:
    for reference in references:
        if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", reference):
            raise ValueError(f"a list of module:attribute, separated by commas; {reference!r} is not one")
    return references


ProjectPath = Annotated[Path, BeforeValidator(_named), AfterValidator(_in_project)]
NameOrPath = Annotated[str, BeforeValidator(_named), AfterValidator(_named_or_in_project)]
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
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    home: ProjectPath = Field(default_factory=lambda: current_project().home)
    """Everything Nightjar writes on its own. Relative paths are relative to the project."""
    models_dir: ProjectPath = Path("models")
    reports_dir: ProjectPath = Field(default_factory=lambda data: data["home"] / "reports")
    models_file: ProjectPath = Field(default_factory=lambda data: data["home"] / PACKAGED_MODELS.name)
    """Begins as the registry that comes with Nightjar, which is never written to."""

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
    live: LiveSettings = LiveSettings()
    remote: RemoteSettings = RemoteSettings()
    money: MoneySettings = MoneySettings()

    lease_s: float = Field(30, ge=1, le=3600)
    """A job that its worker has not renewed for this long goes back to PENDING."""
    beat_s: float = Field(2, ge=0.1, le=60)
    drain_s: float = Field(30, ge=0, le=86_400)
    """Time for running turns to finish after SIGTERM."""
    probe: bool = True
    """A worker measures its model's speed once for each machine, after its work or while idle; False: only if told to
    by `--probe`."""

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

    memory_model: str | None = Field(None, min_length=1)
    """A small embedding model that this host keeps on its CPU, by its name: for searches, recall and photos."""

    photo_model: NameOrPath | None = None
    """A picture model that was pulled, by its name, or a folder with a CLIP or SigLIP model in ONNX; None: photos are
    found by their texts alone."""

    pull_on_use: bool = True
    """A worker may fetch a registered hub model that is not on its host."""
    ollama_models: Path | None = Field(None, validation_alias=AliasChoices("ollama_models", "nightjar_ollama_models"))
    """Ollama's store; None: Ollama's default place."""

    @field_validator("night")
    @classmethod
    def _commands_of_our_own_database(cls, night: NightSettings, info: ValidationInfo) -> NightSettings:
        """Commands come from MongoDB; into one that has a URL others may write."""
        if night.commands is not None:
            return night
        return night.model_copy(update={"commands": info.data.get("mongo_url") is None})

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


def current_project() -> Project:
    """The project of this process. Raises SettingsError."""
    try:
        current = Path.cwd()
    except OSError:  # removed meanwhile
        current = None
    return find_project(os.environ, current)


def settings_files() -> tuple[Path | None, Path | None]:
    """The `.env` and the TOML file in use; None if there is none."""
    project = current_project()
    return project.dotenv, project.toml


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process; says what is left out of them. An existing home that others can read is closed.

    Raises SettingsError for an unknown key or a value out of its range.
    """
    settings, notices = read_settings()
    for notice in notices:
        print(f"nightjar: {notice}", file=sys.stderr)
    keep_private(settings.home)
    return settings


def read_settings() -> tuple[Settings, list[str]]:
    """The settings, and sentences about what does not count: files of other folders, secrets. Raises SettingsError."""
    sources = Sources.read(dict(os.environ), *settings_files())
    paths = list(key_paths(Settings))
    for source, names in sources.variables().items():
        check_variables((name for name in names if source != ENVIRONMENT or name.upper() != CONFIG), paths, source)
    check_table(sources.toml, paths, str(sources.toml_file))
    tables = sources.dotenv_table(iter(paths)), dict(sources.toml)

    class Discovered(Settings):
        """Settings from the environment and from the files that exist."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, *(InitSettingsSource(settings_cls, table) for table in tables)

    try:
        found = Discovered()
    except ValidationError as error:
        raise SettingsError(" ".join(_explain(error, sources))) from None
    settings = Settings.model_construct(_fields_set=set(found.model_fields_set), **dict(found))
    withheld = sources.withheld()
    for path in withheld:
        settings = _without(settings, path)
    return settings, [*_ignored(), *withheld.values()]


def _without(settings: Settings, path: KeyPath) -> Settings:
    if len(path) == 1:
        return settings.model_copy(update={path[0]: None})
    return settings.model_copy(update={path[0]: getattr(settings, path[0]).model_copy(update={path[1]: None})})


def _ignored() -> list[str]:
    """About files of the current folder that may be somebody else's."""
    project = current_project()
    if project.stale is not None:
        return [
            f"{project.stale} is not the folder any more that `nightjar init` made a project, and nothing in it "
            "counts. Give `nightjar init` there again if it is yours."
        ]
    if not project.ignored:
        return []
    names = " and ".join(path.name for path in project.ignored)
    remedy = (
        f"The project is {project.folder}, {project.why}; NIGHTJAR_CONFIG names another folder of settings."
        if is_checkout()
        else "`nightjar init` makes this folder a project of yours, if you trust what is in it."
    )
    return [f"{names} in {project.ignored[0].parent} is ignored: it may come from somebody else. {remedy}"]


def _explain(error: ValidationError, sources: Sources) -> Iterator[str]:
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
        found = sources.find(path)
        assert found is not None, "a default is valid"
        shown = "" if path[-1] in _SECRETS else f" = {found.value!r}"
        yield f"{found.name}{shown} ({found.source}) is not allowed: it must be {' or '.join(dict.fromkeys(messages))}."
