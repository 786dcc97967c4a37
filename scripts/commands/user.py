"""`nightjar user`: who may log in to the page of `nightjar serve`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.errors import UsageError
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nightjar.jobs.accounts.documents import Role, User
    from nightjar.scripts.session import Session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Users of the page. Without any, the link that `nightjar serve` prints logs in whoever has it.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A user's name.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input, one line.")]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer (reads), operator (runs, too), admin (deletes and manages, too).")],
    stdin: Stdin = False,
) -> None:
    """Add a user; asks for the password. The first is an admin. Example: nightjar user add ann --role admin"""
    from nightjar.jobs.accounts.access import add_user
    from nightjar.jobs.accounts.read_accounts import check_account_name, read_role

    check_account_name(name)
    chosen, digest = read_role(role), _new_digest(stdin)
    _change("add-user", name, lambda session: add_user(name, chosen, digest, session.database), role=chosen)
    print(plain(f"User {name!r}, {chosen}, can log in."))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every user with their role. Example: nightjar user list"""
    from nightjar.jobs.accounts.documents import User

    async def load(session: Session) -> list[User]:
        return await User.find_all().sort("+_id").to_list()

    users = _within(load, reading=True)
    rows: list[dict[str, Any]] = [
        {"name": user.id, "role": user.role, "created_at": user.created_at, "changed_at": user.changed_at}
        for user in users
    ]
    if as_json:
        emit_json({"users": rows})
    elif rows:
        shown = [[row["name"], row["role"], f"{row['created_at']:%Y-%m-%d}"] for row in rows]
        console().print(table(None, ("user", "role", "since"), shown))
    else:
        print("No user yet: `nightjar user add NAME --role admin`.")


@app.command()
def passwd(name: Name, stdin: Stdin = False) -> None:
    """Set a user's password; whoever was logged in by that name is logged out. Example: nightjar user passwd ann"""
    from nightjar.jobs.accounts.access import change_user

    digest = _new_digest(stdin)
    _change("set-password", name, lambda session: change_user(name, session.database, password=digest))
    print(plain(f"User {name!r} has a new password; their sessions have ended."))


@app.command()
def role(name: Name, role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")]) -> None:
    """Give a user another role; their sessions end. Example: nightjar user role ann operator"""
    from nightjar.jobs.accounts.access import change_user
    from nightjar.jobs.accounts.read_accounts import read_role

    chosen: Role = read_role(role)
    _change("set-role", name, lambda session: change_user(name, session.database, role=chosen), role=chosen)
    print(plain(f"User {name!r} is {chosen} now; their sessions have ended."))


@app.command()
def rm(name: Name) -> None:
    """Remove a user with their sessions and tokens. Example: nightjar user rm ann"""
    from nightjar.jobs.accounts.access import remove_user

    _change("remove-user", name, lambda session: remove_user(name, session.database))
    print(plain(f"Removed user {name!r}."))


def _within(work: Callable[[Session], Awaitable[Any]], *, reading: bool = False) -> Any:
    from nightjar.scripts.session import open_session, run_async

    async def inside() -> Any:
        async with open_session(reading=reading) as session:
            return await work(session)

    return run_async(inside())


def _change(action: str, name: str, work: Callable[[Session], Awaitable[Any]], **details: Any) -> None:
    """Does it, and has it written to the audit."""
    from nightjar.scripts.audited import audited

    async def noted(session: Session) -> None:
        async with audited(action, name, **details):
            await work(session)

    _within(noted)


def _new_digest(stdin: bool) -> str:
    """Asks for a password, or reads it; what is stored of it."""
    import asyncio

    from nightjar.scripts.commands.serve import check_installed

    check_installed()
    from nightjar.web.auth.passwords import Passwords

    if stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise UsageError("There is no terminal to ask for the password. Give it on standard input: --stdin.")
    return asyncio.run(Passwords().digest(password))
