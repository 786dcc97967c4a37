"""What `nightjar uninstall` finds of Nightjar's on this machine, what it removes, and what it leaves to its user."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config import embedded
from nightjar.config.errors import ModelFileError, OutputError, UsageError
from nightjar.config.files import bytes_on_disk, may_be_home, parts_of_home
from nightjar.config.home_users import end_all, is_command, working_in
from nightjar.config.project import ALL_IGNORED, HOME_NAME, is_checkout
from nightjar.config.project_list import listed_projects, unlist_project, user_config, user_data
from nightjar.config.redact import redact_text
from nightjar.config.settings import current_project
from nightjar.scripts.session import GONE_S
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.partial import CACHE
from nightjar.workers.photos.pull import MANIFEST

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """Something of Nightjar's, or beside it. `how`: the command that removes it, where `uninstall --data` does not."""

    what: str
    where: str
    bytes: int | None = None
    how: str | None = None


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What would be removed of a home, who works in it, and what stays."""

    home: Path
    removes: list[Belonging]
    leaves: list[Belonging]
    commands: list[str]
    """Commands of Nightjar that work in the home: they are ended."""
    programs: list[str]
    """Programs that import Nightjar and work in it: they are not."""
    servers: list[str]

    @property
    def bytes(self) -> int:
        return sum(found.bytes or 0 for found in self.removes)


def plan_removal(settings: Settings) -> Removal:
    """Looks, and changes nothing."""
    home = settings.home.resolve()
    parts = _own_parts(home)
    users = [(process, is_command(process)) for process in working_in(home)] if home.is_dir() else []
    pulled = list(_pulled(settings))
    return Removal(
        home=home,
        removes=[_found(path, what) for path, what in [*parts.items(), *pulled]],
        leaves=list(_leaves(settings, home, parts, [path for path, _ in pulled])),
        commands=[_named(process) for process, ours in users if ours],
        programs=[_named(process) for process, ours in users if not ours],
        servers=[server.name for server in embedded.status(settings, every=True) if server.state == "up"],
    )


def carry_out(removal: Removal, settings: Settings) -> None:
    """Ends what works in the home and its servers, then deletes. Raises UsageError, ServiceError, OutputError."""
    if removal.programs:
        raise UsageError(
            f"{'; '.join(removal.programs)} works in {removal.home}, and is no command of Nightjar's to be ended. "
            "End it, and try again."
        )
    end_all(removal.home, settings.drain_s + GONE_S)
    embedded.down(settings)
    for found in removal.removes:
        _delete(Path(found.where))
    project = current_project()
    if removal.home == (project.folder / HOME_NAME).resolve():
        unlist_project(project.folder)
    for folder in (settings.models_dir, removal.home):
        with contextlib.suppress(OSError):  # something is left in it
            folder.rmdir()


def _own_parts(home: Path) -> dict[Path, str]:
    """What is ours in the home; nothing of a folder that is no home. Raises UsageError for a whole account."""
    if not home.is_dir():
        return {}
    parts = parts_of_home(home)
    known = home.name == HOME_NAME or home == user_data().resolve() or {"home.id", "services"} & {p.name for p in parts}
    if not known:
        return {}
    if parts and not may_be_home(home):
        raise UsageError(
            f"The home {home} is not a folder of Nightjar's own, so nothing in it is removed in one go: what is called "
            f"{', '.join(path.name for path in parts)} there may be yours. Remove by hand what is not."
        )
    ignore = home / ".gitignore"
    if ignore.is_file() and ignore.read_text("utf-8", "replace") == ALL_IGNORED:
        parts[ignore] = "keeps the home out of git"
    return parts


def _pulled(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Models that were fetched, where the models' folder is this home's own."""
    project = current_project()
    own = project.folder if settings.home == project.home else settings.home
    if "models_dir" in settings.model_fields_set or settings.models_dir.resolve().parent != own.resolve():
        return
    for folder in sorted(path for path in settings.models_dir.glob("*") if path.is_dir()):
        try:
            fetched = read_manifest(folder) is not None or (folder / MANIFEST).is_file()
        except ModelFileError:  # damaged, or somebody else's
            fetched = False
        if fetched or (folder / CACHE).is_dir():
            yield folder, "a model that was pulled"


def _leaves(settings: Settings, home: Path, parts: Collection[Path], pulled: list[Path]) -> Iterator[Belonging]:
    project = current_project()
    used = [path for path in (project.dotenv, project.toml) if path is not None]
    for path in used:
        yield _left(path, "your settings")
    if settings.models_dir.is_dir():
        size = bytes_on_disk(settings.models_dir) - sum(map(bytes_on_disk, pulled))
        if len(pulled) < len(list(settings.models_dir.iterdir())):
            yield _left(settings.models_dir, "models that you put there, or share with other homes", size)
    for path, what in ((settings.reports_dir, "reports"), (settings.models_file, "models known by name")):
        if path.exists() and not path.resolve().is_relative_to(home):
            yield _left(path, what)
    for path in sorted(home.glob("*")):
        if path not in parts and path not in used and path != settings.models_dir.resolve():
            yield _left(path, "nothing of Nightjar's")
    if not is_checkout():
        yield from _of_this_user(home, used)
    yield from _elsewhere(settings)


def _of_this_user(home: Path, used: list[Path]) -> Iterator[Belonging]:
    """What the installed Nightjar has outside of this home: one program serves all of a user's homes."""
    config = user_config()
    if config.is_dir() and any(path not in used for path in config.iterdir()):
        yield _left(config, "settings, and the list of your projects")
    for other in (user_data(), *(folder / HOME_NAME for folder in listed_projects())):
        if other.resolve() != home and parts_of_home(other):
            how = f"NIGHTJAR_HOME={shlex.quote(str(other))} nightjar uninstall --data"
            yield Belonging(what="another home", where=str(other), bytes=bytes_on_disk(other), how=how)


def _elsewhere(settings: Settings) -> Iterator[Belonging]:
    from nightjar.config.urls import address

    if settings.mongo_url is not None:
        name = settings.mongo_database
        how = f"in mongosh, if no other home uses it: use {name}, then db.dropDatabase()"
        yield Belonging(what=f"the database {name!r}", where=address(settings.mongo_url), how=how)
    if settings.redis_url is not None:
        how = "nothing to do: they only say which jobs are due"
        yield Belonging(what="the queues' keys", where=address(settings.redis_url), how=how)


def _found(path: Path, what: str) -> Belonging:
    return Belonging(what=what, where=str(path), bytes=bytes_on_disk(path))


def _left(path: Path, what: str, size: int | None = None) -> Belonging:
    flag = " -r" if path.is_dir() and not path.is_symlink() else ""
    size = bytes_on_disk(path) if size is None else size
    return Belonging(what=what, where=str(path), bytes=size, how=f"rm{flag} {shlex.quote(str(path))}")


def _named(process: object) -> str:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        command = redact_text(" ".join(process.cmdline()))
    except psutil.Error:
        command = "a process that has ended"
    return f"{command} (process {process.pid})"


def _delete(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be removed: {error.strerror or error}. The rest is as it was; give the "
            "command again when that is mended."
        ) from None
