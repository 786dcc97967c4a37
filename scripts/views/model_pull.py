"""Fetches and checks models with a progress bar, and publishes their facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.workers.library.find import ModelEntry
    from nightjar.workers.library.pull import Pulled, PullProgress

    How = Callable[[str], object]


def pull_named(model: str, name: str | None, revision: str | None, settings: Settings, how: How) -> str:
    """Pulls a registered model, or a repository, which is registered first. Returns the model's name.

    A repository that cannot be had is taken off the registry again, unless a part of it is here to be continued.
    Raises UsageError for a model that is not the hub's, UnknownNameError, and the errors of `workers.library.pull`.
    """
    from nightjar.workers.library.editing import remove_entry
    from nightjar.workers.library.partial import partial_files

    chosen, is_new = _register(model, name, revision, settings)
    try:
        how(chosen)
    except BaseException:
        if is_new and not partial_files(settings.models_dir / chosen):
            remove_entry(settings.models_file, chosen)
        raise
    return chosen


def _register(model: str, name: str | None, revision: str | None, settings: Settings) -> tuple[str, bool]:
    """The registry name of the model to pull, and whether this call registered it."""
    from nightjar.workers.library.editing import add_entry, update_entry
    from nightjar.workers.library.registry import read_registry
    from nightjar.workers.library.sources import read_source

    registry = read_registry(settings.models_file)
    if model in registry.models:
        entry = registry.models[model]
        if entry.repo is None:
            raise UsageError(f"{model} does not come from the hub but from {entry.source}; there is nothing to pull.")
        if revision is not None:
            update_entry(settings.models_file, model, {"revision": revision, "sha256": None})
        return model, False
    if "/" not in model:
        hub_models = [known for known, entry in registry.models.items() if entry.repo is not None]
        raise UnknownNameError("model", model, hub_models, "Give a registered name, or OWNER/REPO of the hub.")
    source = read_source(model, settings)
    if source.is_local:
        raise UsageError(f"{model} is a file here already: `nightjar model add` makes it known by name.")
    chosen = name or source.name
    known = registry.models.get(chosen)
    if known is not None and known.repo == source.keys["repo"]:
        wanted = {**source.keys, **({"revision": revision, "sha256": None} if revision else {})}
        update_entry(settings.models_file, chosen, wanted)
        return chosen, False
    add_entry(settings.models_file, chosen, {**source.keys, **({"revision": revision} if revision else {})})
    return chosen, True


def pull_registered(name: str, settings: Settings, quantisation: str | None, *, force: bool = False) -> Pulled:
    """Pulls with a progress bar and prints the result. Raises the errors of `workers.library.pull`."""
    from nightjar.scripts.views.pull_events import told_pull
    from nightjar.workers.library.obtain import memory_for_models
    from nightjar.workers.library.pull import pull
    from nightjar.workers.library.registry import read_registry

    entry = read_registry(settings.models_file).models[name]
    with bar() as shown, told_pull(shown, name, settings) as progress:
        pulled = pull(
            name,
            entry,
            settings,
            progress=progress,
            quantisation=quantisation,
            room_bytes=memory_for_models(settings),
            force=force,
        )
    what = "Fetched" if pulled.fetched else "Already here:"
    print(f"{what} {plain(name)}: {plain(str(pulled.path))}, {pulled.manifest.repo} at {pulled.manifest.commit[:12]}.")
    return pulled


def obtained(name: str, settings: Settings) -> ModelEntry:
    """The model; if it is not here but may be fetched from the hub, it is, with a bar. Raises as `obtain` does."""
    from nightjar.workers.library.obtain import obtain

    return obtain(name, settings, bar)


def verify_model(entry: ModelEntry, settings: Settings) -> bool:
    """Hashes the model with a bar and prints a line for each file; False if any digest is wrong."""
    from nightjar.workers.library.gguf.split import parts_of
    from nightjar.workers.library.verify import verify

    with bar() as progress:
        progress.start(entry.name, sum(part.stat().st_size for part in parts_of(entry.path)))
        verdicts = verify(entry, settings, advance=progress.advance)
    for verdict in verdicts:
        if verdict.wrong:
            print(f"{plain(verdict.what)}: WRONG. Its SHA-256 is {verdict.found}, and should be {verdict.expected}.")
        elif verdict.expected is None:
            print(f"{plain(verdict.what)}: readable, SHA-256 {verdict.found}; nothing says what it should be.")
        else:
            print(f"{plain(verdict.what)}: as it should be, SHA-256 {verdict.found}.")
    wrong = any(verdict.wrong for verdict in verdicts)
    if wrong:
        print(f"Fetch it again: nightjar model pull {plain(entry.name)} --force")
    return not wrong


async def publish_facts(entry: ModelEntry) -> None:
    """Publishes the model's facts to MongoDB. Raises ServiceError."""
    from nightjar.scripts.publishing_models import publish_entry
    from nightjar.scripts.session import open_session

    async with open_session() as session:
        await publish_entry(entry, session.settings, session.database)


@contextmanager
def bar() -> Iterator[PullProgress]:
    """A progress bar on standard error: bytes, speed, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = [TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn()]
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        yield _Shown(shown)


class _Shown:
    """`workers.library.pull.PullProgress` as a bar of rich."""

    def __init__(self, shown: object) -> None:
        self._shown = shown
        self._task: object = None

    def start(self, label: str, total_bytes: int) -> None:
        self._task = self._shown.add_task(plain(label), total=total_bytes)  # type: ignore[attr-defined]

    def advance(self, count: int) -> None:
        self._shown.advance(self._task, count)  # type: ignore[attr-defined]
