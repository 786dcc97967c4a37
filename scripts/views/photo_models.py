"""Picture models for `nightjar photos`: the ones that are recommended, and fetching one with a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.views.output import console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.config.settings import Settings


def is_photo_model(model: str) -> bool:
    """Whether it names one of the recommended picture models, by its name or its repository."""
    from nightjar.workers.library.fit.curated import curated_list

    return any(model in (photo.name, photo.repo) for photo in curated_list().photo_models)


def show_photo_models(*, as_json: bool) -> None:
    """As a table, or for --json."""
    from nightjar.workers.library.fit.curated import curated_list

    curated = curated_list()
    if as_json:
        emit_json({"as_of": curated.as_of, "models": [photo.model_dump() for photo in curated.photo_models]})
        return
    rows = [(photo.name, photo.repo, photo.licence, photo.note) for photo in curated.photo_models]
    console().print(table(f"Finds photos, of a list as of {curated.as_of}", ("Model", "Of", "Licence", ""), rows))
    console().print("Fetch one: nightjar model pull MODEL")


def pull_for_photos(
    model: str, name: str | None, revision: str | None, quant: str | None, settings: Settings, *, force: bool
) -> None:
    """Pulls with a progress bar, and says what to set. Raises UsageError, UnknownNameError, and as the pull does."""
    from nightjar.scripts.views.model_pull import bar
    from nightjar.scripts.views.pull_events import told_pull
    from nightjar.workers.library.fit.curated import curated_list
    from nightjar.workers.library.registry import NAME
    from nightjar.workers.library.sources import read_source
    from nightjar.workers.photos.pull import pull_picture_model

    if quant is not None:
        raise UsageError("--quant is for GGUF models; a picture model is fetched as its repository has it.")
    curated = curated_list().photo_models
    known = next((photo for photo in curated if model in (photo.name, photo.repo)), None)
    if known is None and "/" not in model:
        raise UnknownNameError("picture model", model, [photo.name for photo in curated], "Or give OWNER/REPO.")
    source = read_source(model if known is None else known.repo, settings)
    if source.is_local or "file" in source.keys:
        raise UsageError(f"{model!r} is no repository of a picture model: write OWNER/NAME, with @REVISION if need be.")
    chosen = name or (source.name if known is None else known.name)
    if not NAME.fullmatch(chosen):
        raise UsageError(f"{chosen!r} cannot be a model's name: letters, digits and . _ : + - only.")
    with bar() as shown, told_pull(shown, chosen, settings) as progress:
        pulled = pull_picture_model(
            chosen,
            source.keys["repo"],
            settings,
            progress=progress,
            revision=revision or source.keys.get("revision"),
            force=force,
        )
    what = "Fetched" if pulled.fetched else "Already here:"
    print(plain(f"{what} {chosen}: {pulled.folder}, {pulled.manifest.repo} at {pulled.manifest.commit[:12]}."))
    if not pulled.takes_words:
        print("It has no text encoder: it finds photos by another photo, not by words.")
    if settings.photo_model != chosen:
        print(plain(f"Use it: NIGHTJAR_PHOTO_MODEL={chosen} (photo_model in nightjar.toml), then index your folders."))
