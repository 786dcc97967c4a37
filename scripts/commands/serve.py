"""`nightjar serve`: the page in the browser, with a dispatcher and a worker beside it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.config.errors import UsageError
from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.scripts.session import Session
    from nightjar.web.gate import GateRules
    from nightjar.web.run import Certificate

app = typer.Typer(add_completion=False)
GONE_S = 25.0
"""Once the worker beside it had its time to drain, a server that was told to end is gone by then, whatever hangs."""
PORT = 8420
EXTRA = ("fastapi", "uvicorn", "argon2", "prometheus_client")


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where to listen, and for whom."""

    host: str
    port: int
    behind_proxy: bool
    names: tuple[str, ...]
    certificate: tuple[Path, Path] | None
    root: str


@app.command(epilog="Example: nightjar serve --open")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; beyond this machine it needs a user and TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = PORT,
    workers: Annotated[
        str, typer.Option(metavar="auto|none", help="auto: a dispatcher and a worker run beside it, for what waits.")
    ] = "auto",
    live_preempts: Annotated[
        bool,
        typer.Option("--live-preempts", help="A place at work makes room for a live request, once in ten minutes."),
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:PORT]", help="A name that browsers use; repeatable.")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy speaks TLS before it, and replaces X-Forwarded-For.")
    ] = False,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="The path below which a proxy has the page, such as /nightjar.")
    ] = "",
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate with its chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
) -> None:
    """Show runs, models and workers in the browser, until it is told to end.

    On this machine alone the link that it prints logs in, once, within ten minutes. With users there is a login.
    """
    from nightjar.scripts.session import run_async

    check_installed()
    if workers not in ("auto", "none"):
        raise UsageError(f"--workers is {workers!r}; it is auto or none.")
    if live_preempts and workers == "none":
        raise UsageError("--live-preempts is for --workers auto; give it to the worker that runs elsewhere.")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together.")
    certificate = (tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    for file in certificate or ():
        if not file.is_file():
            raise UsageError(f"There is no file {file}.")
    listening = Listening(
        host=host,
        port=port,
        behind_proxy=behind_proxy,
        names=tuple(allow_host or ()),
        certificate=certificate,
        root=root_path.rstrip("/"),
    )
    flags = ("--live-preempts",) if live_preempts else ()
    run_async(_serve(listening, beside=flags if workers == "auto" else None, open_=open_))


def check_installed() -> None:
    """Raises UsageError that names what to install."""
    from importlib.util import find_spec

    from nightjar.config.installation import extra_line

    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"`nightjar serve` needs {', '.join(missing)}, which every other command works without. Install it with: "
            f"{extra_line('serve')}"
        )


async def _refuse_a_mongo_of_its_own(session: Session) -> None:
    """Raises SettingsError where others use this Redis with another MongoDB: the page would show an empty one. Another
    Redis than theirs is shown in the page.
    """
    from nightjar.config.errors import SettingsError
    from nightjar.jobs.redis_in_use import mongo_in_use, other_in_use

    mongo = mongo_in_use(session.settings)
    if mongo.alone and (why := await other_in_use(session.doorbell, session.database, mongo)) is not None:
        raise SettingsError(why)


async def _serve(listening: Listening, *, beside: tuple[str, ...] | None, open_: bool) -> None:
    """`beside`: flags of the worker beside it; None: there is none."""
    from nightjar.config.deadline import heed
    from nightjar.config.settings import load_settings
    from nightjar.config.stopping import end_signals
    from nightjar.scripts.beside_serve import working_beside
    from nightjar.scripts.command_apart import cleanup_apart, prompts_apart
    from nightjar.scripts.doctor.apart import checks_apart
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.noting_machine import noting_machine
    from nightjar.scripts.publishing_models import publishing_known
    from nightjar.scripts.session import open_session
    from nightjar.web.app import create_app
    from nightjar.web.arrival import Arrival
    from nightjar.web.run import listen_at, run_server

    stop = asyncio.Event()
    for signum in end_signals():
        heed(signum, stop.set, lambda: load_settings().drain_s + GONE_S)
    async with open_session(redis=True, service=True, log_file="serve.log") as session, AsyncExitStack() as stack:
        await _refuse_a_mongo_of_its_own(session)
        listener = listen_at(listening.host, listening.port)
        stack.callback(listener.close)
        arrival = await Arrival.prepare(session.settings.home, listener.getsockname()[1])
        rules = await _rules(listening, arrival.port, arrival.own_name, session)
        settings = session.settings
        app_ = create_app(
            settings,
            session.database,
            session.doorbell,
            rules=rules,
            mongo_url=session.urls.mongo,
            checks=checks_apart,
            cleanup=cleanup_apart,
            prompts=prompts_apart,
            enforceable=check_enforceable,
        )
        stack.push_async_callback(app_.state.site.heavy.close)
        stack.push_async_callback(app_.state.site.pulls.close)
        stack.push_async_callback(app_.state.site.verifications.close)
        stack.push_async_callback(app_.state.site.nearest.close)
        if app_.state.site.prompts is not None:
            stack.push_async_callback(app_.state.site.prompts.close)
        await stack.enter_async_context(app_.state.site.live)
        await stack.enter_async_context(app_.state.site.feed)
        await stack.enter_async_context(noting_machine(session))
        await stack.enter_async_context(publishing_known(session))
        if beside is not None:
            await stack.enter_async_context(working_beside(settings.home / "logs", beside))
        link = await arrival.link(rules, session.database)

        def started() -> None:
            print(plain(arrival.words(link)), flush=True)
            if open_:
                typer.launch(link)

        await run_server(app_, listener, stop, started=started, certificate=_certificate(listening))
        if beside is not None:
            print(f"The page is closed. The worker beside it ends its turns first, for {settings.drain_s:g} s at most.")


async def _rules(listening: Listening, port: int, own_name: str, session: Session) -> GateRules:
    from nightjar.jobs.accounts.access import has_users
    from nightjar.web.reach import decide_reach

    return decide_reach(
        listening.host,
        port,
        users=await has_users(),
        encrypted=listening.certificate is not None,
        behind_proxy=listening.behind_proxy,
        names=listening.names,
        own_name=own_name,
        root=listening.root,
    )


def _certificate(listening: Listening) -> Certificate | None:
    from nightjar.web.run import Certificate

    if listening.certificate is None:
        return None
    return Certificate(chain=listening.certificate[0], key=listening.certificate[1])
