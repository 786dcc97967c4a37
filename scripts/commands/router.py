"""`nightjar router`: which model answers which request."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.routing.policies import RoutingPolicy, Validation

NEEDED_BY = "A router by nearest prompts"


class Basis(StrEnum):
    """What of a request decides."""

    TAGS = "tags"
    NEAREST = "nearest"


app = typer.Typer(no_args_is_help=True, add_completion=False, help="Which model answers which live request.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A policy: NAME, alias:NAME or router:NAME, @VERSION.")]
Runs = Annotated[list[str], typer.Option("--run", "-r", help="A judged run of all candidates; repeatable.")]


@app.command()
def alias(
    name: Annotated[str, typer.Argument(help="What requests call it: alias:NAME.")],
    models: Annotated[list[str], typer.Argument(help="Who is asked first, who next, and so on.")],
    as_json: Json = False,
) -> None:
    """An ordered list that works at once, nothing learnt. Example: nightjar router alias chat llama-3.2-3b cloud"""
    from nightjar.jobs.routing.policies import activate_policy
    from nightjar.pipeline.routing.start import write_alias
    from nightjar.scripts.session import open_session, run_async

    _check_name(name)

    async def write() -> RoutingPolicy:
        async with open_session() as session:
            policy = await write_alias(name, models, session.database)
            await activate_policy(policy, session.database)
            return policy.model_copy(update={"active": True})

    _show(run_async(write()), as_json=as_json)


@app.command()
def learn(
    name: Annotated[str, typer.Argument(help="What requests call it: router:NAME.")],
    runs: Runs,
    metric: Annotated[str | None, typer.Option(help="What is to be kept up; default: the report's headline.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much worse counts as equal, as a share of the metric's scale.")
    ] = 0.05,
    default: Annotated[
        str | None, typer.Option(help="Who answers what is not known; default: the dearest candidate.")
    ] = None,
    by: Annotated[
        Basis, typer.Option(help="By the tags that a request names, or by its nearest prompts (`memory_model`).")
    ] = Basis.TAGS,
    neighbours: Annotated[
        int | None, typer.Option(min=20, max=1000, help="With --by nearest: how many of the nearest count; 100.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn who may answer what from judged runs. Example: nightjar router learn chat --run nightly"""
    from contextlib import AsyncExitStack

    from nightjar.config.errors import UsageError
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.routing.learn_nearest import NEIGHBOURS
    from nightjar.pipeline.routing.start import NearestBy, learn_policy
    from nightjar.scripts.session import open_session, run_async
    from nightjar.workers.embedder.client import open_embedder

    _check_name(name)
    if neighbours is not None and by is not Basis.NEAREST:
        raise UsageError("--neighbours belongs to --by nearest.")

    async def write() -> RoutingPolicy:
        async with open_session() as session, AsyncExitStack() as stack:
            found = [await find_run(run, session.database) for run in runs]
            nearest = None
            if by is Basis.NEAREST:
                embedder = await stack.enter_async_context(await open_embedder(session.settings, NEEDED_BY))
                nearest = NearestBy(embedder=embedder, neighbours=neighbours or NEIGHBOURS)
            return await learn_policy(
                name, found, session.database, metric=metric, default=default, margin=margin, nearest=nearest
            )

    _show(run_async(write()), as_json=as_json)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """A policy: its rules, what they rest on, what it is worth. Example: nightjar router show router:chat"""
    _show(_find(name), as_json=as_json)


@app.command()
def validate(name: Name, runs: Runs, as_json: Json = False) -> None:
    """Check a policy on runs that it was not learnt from. Example: nightjar router validate chat --run friday"""
    from contextlib import AsyncExitStack

    from nightjar.jobs.lookup import find_run
    from nightjar.jobs.routing.policies import find_policy
    from nightjar.pipeline.routing.start import validate_policy
    from nightjar.pipeline.routing.words import worth
    from nightjar.scripts.session import open_session, run_async
    from nightjar.workers.embedder.client import open_embedder

    async def check() -> Validation | None:
        async with open_session() as session, AsyncExitStack() as stack:
            found = [await find_run(run, session.database) for run in runs]
            policy, embedder = await find_policy(name), None
            if policy.nearest is not None:
                embedder = await stack.enter_async_context(await open_embedder(session.settings, NEEDED_BY))
            return await validate_policy(policy, found, session.database, embedder)

    said = run_async(check())
    if as_json:
        emit_json({"validation": None if said is None else said.model_dump(mode="json")})
    else:
        print(plain(worth(said)))


@app.command()
def activate(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even where it beats no random mix, or its embedding model is not here.")
    ] = False,
) -> None:
    """Have requests go by this version. Example: nightjar router activate router:chat@2"""
    from nightjar.jobs.routing.policies import activate_policy, find_policy
    from nightjar.pipeline.routing.nearest import check_policy_embedder
    from nightjar.pipeline.routing.words import check_worth
    from nightjar.scripts.session import open_session, run_async
    from nightjar.workers.embedder.client import open_embedder

    async def change() -> RoutingPolicy:
        async with open_session() as session:
            policy = await find_policy(name)
            if policy.nearest is not None and not force:  # else every request would go to the default
                check_policy_embedder(policy, (await open_embedder(session.settings, NEEDED_BY)).facts)
            check_worth(policy, force=force, remedy="--force activates it all the same.")
            await activate_policy(policy, session.database)
            return policy

    policy = run_async(change())
    print(plain(f"Requests for {policy.address} go by version {policy.version} now."))


@app.command("list")
def list_policies(as_json: Json = False) -> None:
    """Every policy with its versions. Example: nightjar router list"""
    from nightjar.jobs.routing.policies import all_policies
    from nightjar.scripts.session import open_session, run_async

    async def read() -> list[RoutingPolicy]:
        async with open_session(reading=True):
            return await all_policies()

    policies = run_async(read())
    if as_json:
        emit_json({"policies": [_row(policy) for policy in policies]})
    elif policies:
        rows = [
            (policy.address, policy.version, "active" if policy.active else None, ", ".join(policy.candidates))
            for policy in policies
        ]
        console().print(table(None, ("policy", "version>", "state", "models"), rows))
    else:
        print("No policy yet: `nightjar router alias NAME MODEL MODEL`, or `nightjar router learn NAME --run RUN`.")


def _check_name(name: str) -> None:
    import re

    from nightjar.config.errors import UsageError

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(f"{name!r} cannot be a policy's name: letters, digits and . _ - only.")


def _find(name: str) -> RoutingPolicy:
    from nightjar.jobs.routing.policies import find_policy
    from nightjar.scripts.session import open_session, run_async

    async def read() -> RoutingPolicy:
        async with open_session(reading=True):
            return await find_policy(name)

    return run_async(read())


def _row(policy: RoutingPolicy) -> dict[str, Any]:
    return policy.model_dump(mode="json") | {"address": policy.address}


def _show(policy: RoutingPolicy, *, as_json: bool) -> None:
    from nightjar.jobs.routing.policies import PolicyKind
    from nightjar.pipeline.routing.words import nearest_words, worth

    if as_json:
        emit_json({"policy": _row(policy)})
        return
    state = "active" if policy.active else "not active"
    print(plain(f"{policy.address}@{policy.version}, {state}: {', '.join(policy.candidates)}"))
    if policy.kind is PolicyKind.ALIAS:
        print("Asked in this order; not learnt.")
        return
    if policy.nearest is not None:
        print(plain(nearest_words(policy.nearest)))
    else:
        rows = [(rule.tag, rule.model or policy.default, rule.pairs, rule.reason) for rule in policy.rules]
        console().print(table(None, ("tag", "answered by", "sequences>", "why"), rows))
    print(plain(f"All else is answered by {policy.default}. {worth(policy.validation)}"))
    if not policy.active:
        print(plain(f"`nightjar router activate {policy.address}@{policy.version}` has requests go by it."))
