"""`nightjar model`: the models on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.views.output import Json, plain

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.workers.library.find import ModelEntry

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Models on this machine: find, fetch, look into.")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A registered name, or the path of a .gguf file.")]
Wanted = Annotated[str | None, typer.Option("--for", help="Only models for: chat, base, embedding, judge.")]
Quant = Annotated[str | None, typer.Option("--quant", help="Such as Q4_K_M; auto: the best that fits (default).")]


@app.command("list")
def list_models(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="The .gguf files in this folder instead.")
    ] = None,
    wanted: Wanted = None,
    as_json: Json = False,
) -> None:
    """Every known model with its state, size and use. Example: nightjar model list ~/models --for chat"""
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.models import inventory_rows, say_unlisted, show_inventory

    rows = run_async(inventory_rows(wanted, folder))
    show_inventory(rows, as_json=as_json)
    if folder is None and not as_json:
        say_unlisted(rows)


@app.command()
def info(model: Name, as_json: Json = False) -> None:
    """What a model file says of itself, and the memory it takes. Example: nightjar model info nightjar-demo"""
    from nightjar.scripts.views.models import prepared, show_info
    from nightjar.workers.library.describe import describe
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.memory_model import memory_model_bytes

    settings = prepared()
    show_info(describe(find_file(model, settings), memory_model_bytes(settings)), as_json=as_json)


@app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(help="FILE.gguf, OWNER/REPO[@REVISION][:FILE] or ollama:NAME; with --endpoint the new name."),
    ],
    name: Annotated[str | None, typer.Option(help="The name to know it by; default: made of the source.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag, such as judge; repeatable.")] = None,
    context: Annotated[int | None, typer.Option(min=16, help="Tokens per conversation.")] = None,
    template: Annotated[str | None, typer.Option(help="A .jinja file beside the registry, used as template.")] = None,
    projector: Annotated[
        Path | None, typer.Option(help="The file with which it sees pictures, mostly mmproj-*.gguf.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="It answers there (`nightjar endpoint list`).")] = None,
    model: Annotated[str | None, typer.Option(help="What that endpoint calls it.")] = None,
    kind: Annotated[str | None, typer.Option(help="At an endpoint: chat (default) or embedding.")] = None,
) -> None:
    """Make a model known by name. Example: nightjar model add ~/models/story.gguf --name story"""
    from nightjar.scripts.views.model_add import check_new, checked_projector
    from nightjar.scripts.views.models import prepared
    from nightjar.workers.library.editing import add_entry
    from nightjar.workers.library.find import find_model
    from nightjar.workers.library.sources import read_source

    settings = prepared()
    if endpoint is not None or model is not None or kind is not None:
        given = {"endpoint": endpoint, "model": model, "kind": kind, "tags": list(tag or []) or None}
        _add_remote(name or source, given, context, template, settings)
        return
    read = read_source(source, settings)
    extra = {"tags": list(tag or []) or None, "template": template, "load": {"context": context} if context else None}
    extra["projector"] = None if projector is None else checked_projector(projector, settings)
    chosen = name or read.name
    table = {**read.keys, **{key: value for key, value in extra.items() if value}}
    check_new(chosen, table, context, settings)
    add_entry(settings.models_file, chosen, table)
    typer.echo(f"Added {chosen} to {settings.models_file}.")
    if not read.is_local:
        typer.echo(f"Fetch it: nightjar model pull {chosen}")
        return
    publish(find_model(chosen, settings))


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="A registered name, or OWNER/REPO[@REVISION][:FILE].")],
    name: Annotated[str | None, typer.Option(help="The name to know it by; default: made of the repository's.")] = None,
    quant: Quant = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; it is pinned to the commit.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here already.")] = False,
    photos: Annotated[
        bool, typer.Option("--photos", help="It is a CLIP or SigLIP model in ONNX, for `nightjar photos`.")
    ] = False,
) -> None:
    """Fetch a model from the hub into models/. Example: nightjar model pull Qwen/Qwen3-4B-GGUF --quant Q4_K_M"""
    from nightjar.scripts.views.model_pull import pull_named, pull_registered
    from nightjar.scripts.views.models import prepared
    from nightjar.scripts.views.photo_models import is_photo_model, pull_for_photos
    from nightjar.workers.library.find import find_model

    settings = prepared()
    fetched: list[bool] = []
    try:
        if photos or is_photo_model(model):
            pull_for_photos(model, name, revision, quant, settings, force=force)
            return
        chosen = pull_named(
            model,
            name,
            revision,
            settings,
            lambda chosen: fetched.append(pull_registered(chosen, settings, quant, force=force).fetched),
        )
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on where it was.", err=True)
        raise typer.Exit(130) from None
    if any(fetched):
        publish(find_model(chosen, settings))


@app.command()
def verify(model: Name) -> None:
    """Hash a model's files again and compare. Example: nightjar model verify llama-3.1-8b"""
    from nightjar.scripts.views.model_pull import verify_model
    from nightjar.scripts.views.models import prepared
    from nightjar.workers.library.find import find_file

    settings = prepared()
    if not verify_model(find_file(model, settings), settings):
        raise typer.Exit(1)


@app.command()
def recommend(
    ram: Annotated[str | None, typer.Option(help="Memory to plan for, such as 8GB; default: this machine's.")] = None,
    vram: Annotated[str | None, typer.Option(help="GPU memory to plan for, such as 12GB; 0 for none.")] = None,
    wanted: Annotated[str | None, typer.Option("--for", help="chat, embedding, judge or photos.")] = None,
    write: Annotated[str | None, typer.Option(metavar="MODEL", help="Write this one to the registry.")] = None,
    as_json: Json = False,
) -> None:
    """Models that fit this machine, and how. Example: nightjar model recommend --vram 12GB --for judge"""
    from nightjar.scripts.views.model_recommend import recommended, show_recommended, write_recommended
    from nightjar.scripts.views.photo_models import show_photo_models

    if wanted == "photos" and write is None:
        show_photo_models(as_json=as_json)
        return
    recommendations = recommended(ram, vram, wanted)
    if write is not None:
        write_recommended(recommendations, write)
        return
    show_recommended(recommendations, as_json=as_json)


@app.command("rm")
def remove(
    model: Annotated[str, typer.Argument(help="A name of `nightjar model list`.")],
    keep_file: Annotated[bool, typer.Option("--keep-file", help="Take it off the list only.")] = False,
) -> None:
    """Take a model off the list and delete its file. Example: nightjar model rm story --keep-file"""
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.models import inventory_rows, prepared
    from nightjar.workers.library.removal import remove_model as take_off
    from nightjar.workers.photos.pull import remove_picture_model

    if not keep_file and (folder := remove_picture_model(model, prepared())) is not None:
        typer.echo(f"Deleted {plain(str(folder))}.")
        return
    rows = run_async(inventory_rows(None))
    held = next((row for row in rows if row.name == model), None)
    removed = take_off(model, held, prepared(), keep_file=keep_file)
    typer.echo(f"Removed {model} from the list." if removed.from_registry else f"Removed {model}.")
    for file in removed.deleted:
        typer.echo(f"Deleted {plain(str(file))}.")
    for file in removed.kept:
        typer.echo(f"Kept {plain(str(file))}.")


def _add_remote(
    name: str, given: dict[str, Any], context: int | None, template: str | None, settings: Settings
) -> None:
    from nightjar.config.errors import UsageError
    from nightjar.workers.library.editing import add_entry
    from nightjar.workers.library.find import find_model

    if template is not None:
        raise UsageError("--template is for files: an endpoint renders prompts itself.")
    table = {key: value for key, value in given.items() if value is not None}
    add_entry(settings.models_file, name, table | ({"load": {"context": context}} if context else {}))
    typer.echo(f"Added {name} to {settings.models_file}.")
    publish(find_model(name, settings))


def publish(entry: ModelEntry) -> None:
    """Publishes the model's facts to MongoDB. Where no server answers it says so: a worker will publish them."""
    from nightjar.config.errors import ServiceError
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.model_pull import publish_facts

    try:
        run_async(publish_facts(entry))
    except ServiceError as error:
        typer.echo(f"Its facts are not published yet; a worker does so when it loads it. {plain(str(error))}", err=True)
