"""Which folder is the project, and which settings files count; what comes with the package.

    1  the checkout that holds this package
    2  else the folder named by NIGHTJAR_CONFIG, or one made by `nightjar init`: this folder or the nearest above it
    3  else the folder named by NIGHTJAR_HOME; else the user's own data and config folders

A `.nightjar/`, `.env` or `nightjar.toml` of another folder may have come with somebody's repository: ignored and named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nightjar.config.errors import SettingsError
from nightjar.config.project_list import nearest_listed, user_config, user_data

_ABOVE_ROOMS = Path(__file__).resolve().parent.parent
PACKAGED_MODELS = Path(__file__).resolve().parent / "models.toml"
"""The registry that comes with Nightjar."""
HOME_NAME, DOTENV, TOML, JSON = ".nightjar", ".env", "nightjar.toml", "nightjar.json"
"""A `nightjar.json` says the same as a `nightjar.toml`, in the other notation. A pulled model's folder has one too, its
manifest, which holds no settings."""
ALL_IGNORED = "*\n"
"""What `nightjar init` writes into the .gitignore of a home."""
CONFIG = "NIGHTJAR_CONFIG"
"""Read in the environment only: a file cannot say which files count."""
_OURS = re.compile(r"^\s*(?:export\s+)?(?:NIGHTJAR_\w+|HF_TOKEN|HF_ENDPOINT|OLLAMA_MODELS)\s*=", re.MULTILINE | re.I)
_LOOKED_AT_BYTES = 64 * 1024
_LARGEST_MANIFEST = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class Project:
    """The folder that relative paths of settings start from, its default home, and the settings files in use."""

    why: str
    """What made it the project, for people."""
    folder: Path
    home: Path
    dotenv: Path | None = None
    toml: Path | None = None
    ignored: tuple[Path, ...] = ()
    """Lie in the current folder and do not count."""
    stale: Path | None = None
    """Was a project; another folder lies in its place now."""


def is_checkout() -> bool:
    """The package lies in a checkout of the project, rather than where pip installs."""
    return checkout_folder() is not None


def checkout_folder() -> Path | None:
    """The checkout that holds the package; None where it was installed."""
    return _ABOVE_ROOMS if (_ABOVE_ROOMS / "pyproject.toml").is_file() else None


def find_project(environment: Mapping[str, str], current: Path | None) -> Project:
    """The project of this process. `current`: the folder it runs in, None if that is gone. Raises SettingsError."""
    given = {name.upper(): value for name, value in environment.items()}
    config = _named_config(given[CONFIG], current) if given.get(CONFIG) else None
    project = _checkout() if is_checkout() else _elsewhere(given.get("NIGHTJAR_HOME"), config, current)
    dotenv, toml = config.files if config is not None else (project.dotenv, project.toml)
    found = replace(project, dotenv=dotenv, toml=toml)
    home = _absolute(given["NIGHTJAR_HOME"], project.folder) if given.get("NIGHTJAR_HOME") else project.home
    return replace(found, ignored=() if current is None else tuple(_ignored(found, home, current)))


@dataclass(frozen=True, kw_only=True)
class _NamedConfig:
    """What NIGHTJAR_CONFIG names."""

    folder: Path
    files: tuple[Path | None, Path | None]


def _named_config(text: str, current: Path | None) -> _NamedConfig:
    path = _absolute(text, current)
    if path.is_file():
        return _NamedConfig(folder=path.parent, files=(None, path))
    files = _there(path / DOTENV), _settings_in(path)
    if files == (None, None):
        raise SettingsError(
            f"{CONFIG} names {path}, and there is neither a file of that name nor {TOML} or {DOTENV} in such a folder. "
            "Correct or unset it."
        )
    return _NamedConfig(folder=path, files=files)


def _checkout() -> Project:
    folder = _ABOVE_ROOMS
    toml = _settings_in(folder, folder / "config")
    why = "the checkout that holds Nightjar"
    return Project(why=why, folder=folder, home=folder / HOME_NAME, dotenv=_there(folder / DOTENV), toml=toml)


def _elsewhere(home: str | None, config: _NamedConfig | None, current: Path | None) -> Project:
    if config is not None:
        return Project(why=f"named by {CONFIG}", folder=config.folder, home=config.folder / HOME_NAME)
    listed = nearest_listed(current) if current is not None else None
    if listed is not None and listed.same:
        made = listed.path
        dotenv, toml = _there(made / DOTENV), _settings_in(made)
        return Project(why="made by `nightjar init`", folder=made, home=made / HOME_NAME, dotenv=dotenv, toml=toml)
    own = user_config()
    files = _there(own / DOTENV), _settings_in(own)
    folder, why = (_absolute(home, current), "named by NIGHTJAR_HOME") if home else (user_data(), "your data folder")
    if home and (named := (_there(folder / DOTENV), _settings_in(folder))) != (None, None):
        files = named
    stale = listed.path if listed is not None else None
    return Project(why=why, folder=folder, home=folder, dotenv=files[0], toml=files[1], stale=stale)


def _ignored(project: Project, home: Path, current: Path) -> Iterator[Path]:
    if _same(current, project.folder) or _same(current, user_config()):
        return  # what lies there and does not count was overruled by its own user
    used = [path for path in (project.dotenv, project.toml, home) if path is not None]
    for path in (current / HOME_NAME, current / DOTENV, current / TOML, current / JSON):
        counts = {DOTENV: sets_ours, JSON: holds_settings}.get(path.name, os.path.lexists)(path)
        if counts and os.path.lexists(path) and not any(_same(path, other) for other in used):
            yield path


def _settings_in(*folders: Path) -> Path | None:
    """The file of settings in one of these folders. Raises SettingsError where there are two."""
    names = [folder / TOML for folder in folders] + [folder / JSON for folder in folders]
    there = [path for path in names if _there(path) is not None and (path.name == TOML or holds_settings(path))]
    if any(path.name == JSON for path in there) and len(there) > 1:
        listed = " and ".join(map(str, there))
        raise SettingsError(f"There are {listed}, and only one file of settings can count. Keep one of them.")
    return there[0] if there else None


def holds_settings(path: Path) -> bool:
    """Whether a `nightjar.json` is meant as settings: any is that is no manifest of a pulled model."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_LARGEST_MANIFEST))
    except ValueError:
        return True  # it is read, and the error names it
    except OSError:
        return False
    return not (isinstance(data, dict) and {"repo", "commit", "files"} <= data.keys())


def sets_ours(dotenv: Path) -> bool:
    """Whether a `.env` sets anything that Nightjar would read; most belong to other programs."""
    try:
        if not dotenv.is_file():  # a pipe would be waited for
            return False
        with dotenv.open("rb") as file:
            return _OURS.search(file.read(_LOOKED_AT_BYTES).decode("utf-8", "replace")) is not None
    except OSError:
        return False


def _absolute(text: str, current: Path | None) -> Path:
    return (current or Path("/")) / os.path.expanduser(text)


def _there(path: Path) -> Path | None:
    try:
        return path if path.is_file() else None
    except OSError:
        return None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
