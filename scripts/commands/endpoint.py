"""`nightjar endpoint`: servers that answer for models which have no file here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.workers.library.registry import Registry

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Servers that answer for remote models.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="An endpoint's name.")]


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="Its address before /chat/completions: https://api.example.org/v1.")],
    key_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Name of the environment variable that holds the key.")
    ] = None,
    kind: Annotated[str, typer.Option(help="openai, llama-server, vllm, ollama or lmstudio.")] = "openai",
    context: Annotated[int | None, typer.Option(min=16, help="Tokens per conversation of its models.")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN:OUT", help="US dollars per million tokens; default: the list price.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests at once of each worker; default 8.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute, all workers together.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute, all workers together.")] = None,
    budget: Annotated[float | None, typer.Option(help="US dollars in a calendar month.")] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="It may lie on this machine or in a network of your own.")
    ] = False,
) -> None:
    """Make an endpoint known. Example: nightjar endpoint add cloud https://api.example.org/v1 --key-env CLOUD_KEY"""
    from nightjar.scripts.views.models import prepared
    from nightjar.workers.library.editing import add_endpoint

    settings = prepared()
    limits = {"concurrency": concurrency, "rpm": rpm, "tpm": tpm}
    given: dict[str, Any] = {
        "base_url": url,
        "key_env": key_env,
        "kind": kind,
        "context": context,
        "price": _price(price) if price is not None else None,
        "budget": budget,
        "allow_private": allow_private or None,
        "limits": {key: value for key, value in limits.items() if value is not None} or None,
    }
    add_endpoint(settings.models_file, name, {key: value for key, value in given.items() if value is not None})
    typer.echo(f"Added the endpoint {name} to {settings.models_file}.")
    typer.echo(f"Add a model of it: nightjar model add NAME --endpoint {name} --model MODEL")


@app.command("list")
def list_endpoints(as_json: Json = False) -> None:
    """Every endpoint with its models; nothing is asked of them. Example: nightjar endpoint list"""
    from nightjar.scripts.views.models import prepared
    from nightjar.workers.library.registry import read_registry

    registry = read_registry(prepared().models_file)
    rows = [_row(name, registry) for name in registry.endpoints]
    if as_json:
        emit_json({"endpoints": rows})
    elif rows:
        columns = ("name", "kind", "base_url", "key_env", "price", "models")
        heads = ("endpoint", "kind", "address", "key in", "price", "models")
        console().print(table(None, heads, [[_cell(row[column]) for column in columns] for row in rows]))
    else:
        print("No endpoint yet: `nightjar endpoint add NAME https://...`.")


@app.command("test")
def try_(name: Name, as_json: Json = False) -> None:
    """Ask an endpoint for its models, which costs nothing, and end its pause. Example: nightjar endpoint test cloud"""
    from nightjar.scripts.endpoint_test import try_endpoint
    from nightjar.scripts.session import run_async

    tried = run_async(try_endpoint(name))
    if as_json:
        emit_json({"endpoint": tried.json()})
    else:
        for line in tried.lines():
            print(plain(line))
    if not tried.ok:
        raise typer.Exit(1)


@app.command()
def rm(name: Name) -> None:
    """Forget an endpoint that no model answers at any more. Example: nightjar endpoint rm cloud"""
    from nightjar.config.errors import UsageError
    from nightjar.scripts.views.models import prepared
    from nightjar.workers.library.editing import remove_endpoint
    from nightjar.workers.library.registry import find_endpoint, read_registry

    settings = prepared()
    registry = read_registry(settings.models_file)
    find_endpoint(name, registry)
    if models := registry.models_at(name):
        raise UsageError(f"{', '.join(models)} answer at {name}. Remove them first: `nightjar model rm {models[0]}`.")
    remove_endpoint(settings.models_file, name)
    typer.echo(f"Removed the endpoint {name}.")


def _price(text: str) -> dict[str, float]:
    """Raises UsageError."""
    from nightjar.config.errors import UsageError

    given, colon, written = text.partition(":")
    try:
        return {"input": float(given), "output": float(written if colon else "")}
    except ValueError:
        raise UsageError(f"--price {text!r} is not IN:OUT, US dollars per million tokens, as in 0.15:0.60.") from None


def _row(name: str, registry: Registry) -> dict[str, Any]:
    endpoint = registry.endpoints[name]
    return {"name": name, **endpoint.model_dump(mode="json"), "models": registry.models_at(name)}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return f"${value['input']:g} in, ${value['output']:g} out"
    return ", ".join(value) if isinstance(value, list) else value
