"""`nightjar model`: the models on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from config.errors import ServiceError
from scripts.output import Json, plain

if TYPE_CHECKING:
    from workers.library.find import ModelEntry

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Models on this machine: find, fetch, look into, and take off again.",
)

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A registered name, or the path of a .gguf file.")]


@app.command("list")
def list_models(
    wanted: Annotated[str | None, typer.Option("--for", help="Only models for: chat, base, embedding, judge.")] = None,
    as_json: Json = False,
) -> None:
    """Every known model with its state, size and use. Example: nightjar model list --for chat"""
    from scripts.model_views import inventory_rows, show_inventory
    from scripts.session import run_async

    held = run_async(inventory_rows(wanted))
    show_inventory(held, as_json=as_json)


@app.command()
def info(model: Name, as_json: Json = False) -> None:
    """What a model file says of itself, and the memory it takes. Example: nightjar model info nightjar-demo"""
    from config.settings import load_settings
    from scripts.model_views import describe, show_info
    from workers.library.find import find_model

    settings = load_settings()
    show_info(describe(find_model(model, settings), settings), as_json=as_json)


@app.command()
def add(
    source: Annotated[str, typer.Argument(help="FILE.gguf, OWNER/REPO[@REVISION][:FILE] or ollama:NAME.")],
    name: Annotated[str | None, typer.Option(help="The name to know it by; default: made of the source.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag, such as judge; repeatable.")] = None,
    context: Annotated[int | None, typer.Option(min=16, help="Tokens per conversation.")] = None,
    template: Annotated[str | None, typer.Option(help="A .jinja file beside the registry, used as template.")] = None,
) -> None:
    """Make a model known by name. Example: nightjar model add ~/models/story.gguf --name story"""
    from config.settings import load_settings
    from workers.library.editing import add_entry
    from workers.library.find import find_model, resolve_path
    from workers.library.inspect import inspect_file
    from workers.library.sources import read_source

    settings = load_settings()
    found = read_source(source, settings)
    keys = dict(found.keys)
    if tag:
        keys["tags"] = list(tag)
    if template:
        keys["template"] = template
    if context:
        keys["load"] = {"context": context}
    if "path" in keys:
        inspect_file(resolve_path(keys["path"], settings))
    chosen = name or found.name
    add_entry(settings.models_file, chosen, keys)
    typer.echo(f"Added {chosen} to {settings.models_file}.")
    if not found.is_local:
        typer.echo(f"Fetch it: nightjar model pull {chosen}")
        return
    publish(find_model(chosen, settings))


def publish(entry: ModelEntry) -> None:
    """Publishes the model's facts to MongoDB; an unreachable server is said, and a worker will publish them."""
    from scripts.session import run_async

    try:
        run_async(_publish(entry))
    except ServiceError as error:
        typer.echo(f"Its facts are not published yet; a worker does so when it loads it. {plain(str(error))}", err=True)


async def _publish(entry: ModelEntry) -> None:
    import asyncio
    import socket

    from jobs.publishing import publish_model
    from scripts.session import open_session
    from workers.library.inspect import entry_facts

    facts = await asyncio.to_thread(entry_facts, entry)
    async with open_session() as session:
        await publish_model(session.database, facts, socket.gethostname())
