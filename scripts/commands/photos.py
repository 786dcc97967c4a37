"""`nightjar photos`: photos of folders that you index, found by words and by what they show. They stay on this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.workers.photos.picture_model import PictureModel

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Photos of folders that you index.")
Folder = Annotated[Path, typer.Argument(help="Folder with photos; those below it count, links do not.")]
NEEDED_BY = "A search for photos"


@app.command()
def index(folder: Folder) -> None:
    """Open what is new in a folder of photos. Example: nightjar photos index ~/Pictures"""
    import sys

    from nightjar.config.counting import how_many
    from nightjar.config.settings import load_settings
    from nightjar.scripts.session import run_async
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.photos.index import Indexed, index_photos

    settings = load_settings()

    def progress(done: int) -> None:
        if done % 100 == 0:
            print(f"nightjar: {how_many(done, 'photo')}", file=sys.stderr)

    async def work() -> Indexed:
        async with await open_embedder(settings, NEEDED_BY) as embedder:
            return await index_photos(folder, settings.home, embedder, _pictures(settings), progress)

    done = run_async(work())
    print(plain(f"{done.root}: {how_many(done.photos, 'photo')}, {done.opened} of them new or changed."))
    for place, why in done.refused.items():
        print(plain(f"Left out: {place}: {why}"))
    for path in done.unreadable:
        print(plain(f"May not be read: {path}"))


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What is known of it, or what it shows in words.")] = "",
    like: Annotated[Path | None, typer.Option(help="A photo that others are to look like.")] = None,
    top: Annotated[int, typer.Option(help="Show so many.", min=1, max=200)] = 10,
    as_json: Json = False,
) -> None:
    """Find photos by words or by what one shows. Example: nightjar photos search "a lighthouse" """
    from dataclasses import asdict

    from nightjar.config.errors import UsageError
    from nightjar.config.settings import load_settings
    from nightjar.scripts.session import run_async
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.photos.index import FoundPhoto, photos_like, search_photos

    settings = load_settings()
    if bool(text.strip()) == (like is not None):
        raise UsageError("Give some words, or with --like a photo that others are to look like.")
    pictures = _pictures(settings) if like is not None else None
    if like is not None and pictures is None:
        raise UsageError(
            "--like needs a picture model: set NIGHTJAR_PHOTO_MODEL to a folder with a CLIP or SigLIP encoder "
            "(vision_model.onnx), and index again."
        )

    async def work() -> tuple[list[FoundPhoto], list[str]]:
        if like is not None and pictures is not None:
            return await photos_like(like, top, settings.home, pictures)
        async with await open_embedder(settings, NEEDED_BY) as embedder:
            return await search_photos(text, top, settings.home, embedder)

    photos, notices = run_async(work())
    if as_json:
        emit_json({"photos": [asdict(photo) for photo in photos], "notices": notices})
        return
    rows = [[photo.path, photo.text, photo.taken, f"{photo.similarity:.2f}"] for photo in photos]
    console().print(table(None, ("photo", "text", "taken", "nearness>"), rows))
    for notice in notices:
        print(plain(notice))


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """The folders that are indexed. Example: nightjar photos list"""
    from nightjar.config.settings import load_settings
    from nightjar.workers.photos.store import read_indexes

    indexes = read_indexes(load_settings().home)
    if as_json:
        found = [{"folder": i.root, "photos": len(i.records), "refused": i.refused} for i in indexes]
        emit_json({"folders": found})
        return
    rows = [[i.root, len(i.records), len(i.refused), "yes" if i.picture_model else "no"] for i in indexes]
    console().print(table(None, ("folder", "photos>", "left out>", "by picture"), rows))


@app.command()
def forget(folder: Folder) -> None:
    """Remove what is kept of a folder's photos; the photos stay. Example: nightjar photos forget ~/Pictures"""
    import os

    from nightjar.config.settings import load_settings
    from nightjar.workers.photos.store import forget_folder

    forget_folder(load_settings().home, os.path.realpath(folder.expanduser()))
    print(plain(f"{folder} is forgotten; its photos are where they were."))


def _pictures(settings: Settings) -> PictureModel | None:
    from nightjar.workers.library.digests import DigestCache
    from nightjar.workers.photos.picture_model import PictureModel

    if settings.photo_model is None:
        return None
    return PictureModel(settings.photo_model, DigestCache(settings.home / "digests.json"))
