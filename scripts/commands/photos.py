"""`nightjar photos`: photos of folders that you index, found by words and by what they show. They stay on this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Photos of folders that you index.")
NEEDED_BY = "A search for photos"


@app.command()
def index(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with photos; those below it count, links do not. Default: every one.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="This host serves the folder's photos from now on, whoever did.")
    ] = False,
) -> None:
    """Open what is new in a folder of photos. Example: nightjar photos index ~/Pictures"""
    from nightjar.config.errors import UsageError
    from nightjar.config.settings import load_settings
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.photos import announce
    from nightjar.workers.photos.store import read_indexes

    settings = load_settings()
    folders = [folder] if folder is not None else [Path(i.root) for i in read_indexes(settings.home) if i.served_here]
    if not folders:
        raise UsageError("No folder is indexed yet. Name one: nightjar photos index ~/Pictures")
    if take_over and folder is None:
        raise UsageError("--take-over is for one folder: name it.")
    for each in folders:
        run_async(_index(each, settings, take_over=take_over))
    announce(settings)


async def _index(folder: Path, settings: Settings, *, take_over: bool) -> None:
    import sys

    from nightjar.config.counting import how_many
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.photos.index import index_photos
    from nightjar.workers.photos.pull import open_picture_model

    def progress(done: int) -> None:
        if done % 100 == 0:
            print(f"nightjar: {how_many(done, 'photo')}", file=sys.stderr)

    async with await open_embedder(settings, NEEDED_BY) as embedder:
        pictures = open_picture_model(settings)
        done = await index_photos(folder, settings.home, embedder, pictures, progress, take_over=take_over)
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
    from nightjar.scripts.views.photos import notices_of_others, show_photos
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.photos.pull import open_picture_model
    from nightjar.workers.photos.search import FoundPhoto, photos_like, search_photos

    settings = load_settings()
    if bool(text.strip()) == (like is not None):
        raise UsageError("Give some words, or with --like a photo that others are to look like.")
    pictures = open_picture_model(settings)
    if like is not None and pictures is None:
        raise UsageError(
            "--like needs a picture model: `nightjar model pull clip-vit-base-patch32`, set NIGHTJAR_PHOTO_MODEL to "
            "its name, and index again."
        )

    async def work() -> tuple[list[FoundPhoto], list[str]]:
        if like is not None and pictures is not None:
            return await photos_like(like, top, settings.home, pictures)
        async with await open_embedder(settings, NEEDED_BY) as embedder:
            return await search_photos(text, top, settings.home, embedder, pictures)

    photos, notices = run_async(work())
    notices += notices_of_others(settings)
    if as_json:
        emit_json({"photos": [asdict(photo) for photo in photos], "notices": notices})
        return
    show_photos(photos)
    for notice in notices:
        print(plain(notice))


@app.command()
def caption(
    folder: Annotated[Path, typer.Argument(help="Folder with photos, indexed before.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A vision model of the registry, with a projector.")],
) -> None:
    """Have a local vision model describe the photos. Example: nightjar photos caption ~/Pictures --model smolvlm"""
    import sys

    from nightjar.config.settings import load_settings
    from nightjar.scripts.session import run_async
    from nightjar.workers.embedder.client import open_embedder
    from nightjar.workers.library.digests import DigestCache
    from nightjar.workers.library.find import find_file
    from nightjar.workers.photos.captions import Captioned, LocalCaptioner, caption_photos

    settings = load_settings()
    captioner = LocalCaptioner(find_file(model, settings), DigestCache(settings.home / "digests.json"))

    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"nightjar: {done} of {total} asked about", file=sys.stderr)

    async def work() -> Captioned:
        async with await open_embedder(settings, NEEDED_BY) as embedder:
            return await caption_photos(folder, settings.home, captioner, embedder, progress)

    try:
        done = run_async(work())
    finally:
        captioner.close()
    print(plain(f"{done.root}: {done.made} captions by {model}, {done.before} were there before."))
    for place, why in done.refused.items():
        print(plain(f"No caption: {place}: {why}"))


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """The folders that are indexed, and the host that serves each. Example: nightjar photos list"""
    from nightjar.config.settings import load_settings
    from nightjar.scripts.views.photos import notices_of_others
    from nightjar.workers.photos.store import read_indexes, this_host

    settings = load_settings()
    indexes = read_indexes(settings.home)
    others = notices_of_others(settings)
    if as_json:
        found = [
            {"folder": i.root, "photos": len(i.records), "refused": i.refused, "host": i.host or this_host()}
            for i in indexes
        ]
        emit_json({"folders": found, "notices": others})
        return
    rows = [
        [i.root, len(i.records), len(i.refused), "yes" if i.picture_model else "no", i.host or this_host()]
        for i in indexes
    ]
    console().print(table(None, ("folder", "photos>", "left out>", "by picture", "host"), rows))
    for notice in others:
        print(plain(notice))


@app.command()
def forget(
    folder: Annotated[Path | None, typer.Argument(help="Folder with photos.")] = None,
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead: what a host that is gone said of its photos.")
    ] = None,
) -> None:
    """Remove what is kept of a folder's photos; the photos stay. Example: nightjar photos forget ~/Pictures"""
    import os

    from nightjar.config.errors import UsageError
    from nightjar.config.settings import load_settings
    from nightjar.scripts.views.photos import announce, forget_host
    from nightjar.workers.photos.store import forget_folder

    if (folder is None) == (host is None):
        raise UsageError("Name a folder, or with --host a host that is gone.")
    settings = load_settings()
    if host is not None:
        forget_host(host)
        return
    assert folder is not None
    forget_folder(settings.home, os.path.realpath(folder.expanduser()))
    print(plain(f"{folder} is forgotten; its photos are where they were."))
    announce(settings)
