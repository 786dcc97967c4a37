"""`nightjar token`: keys for programs that speak to `nightjar serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.account_documents import ApiToken

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keys for programs, each for a few things only.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A token's name.")]


@app.command()
def add(
    name: Name,
    scope: Annotated[
        list[str], typer.Option(help="What it is good for: read, run, v1 (replies), metrics, admin; repeatable.")
    ],
    user: Annotated[str | None, typer.Option(help="On whose behalf; needed once there are users.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Most requests in a minute.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="It ends after so many days.")] = None,
) -> None:
    """Make a token and print it, this once. Example: nightjar token add grafana --scope metrics --user ann"""
    from nightjar.jobs.accounts import add_token, find_user, has_users
    from nightjar.scripts.options.accounts import check_account_name, read_scopes
    from nightjar.scripts.session import open_session, run_async

    check_account_name(name)
    scopes = read_scopes(scope)

    async def make() -> str:
        async with open_session() as session:
            if user is None and await has_users():
                raise UsageError("Say on whose behalf the token acts: --user NAME.")
            owner = None if user is None else (await find_user(user)).id
            limits: dict[str, Any] = {"per_minute": per_minute, "days": days}
            return await add_token(name, owner, scopes, database=session.database, **limits)

    print(run_async(make()))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every token without its secret. Example: nightjar token list"""
    rows = [_row(token) for token in _load()]
    if as_json:
        emit_json({"tokens": rows})
    elif rows:
        columns = ("name", "user", "scopes", "last_used_at", "expires_at")
        shown = [[_text(row[column]) for column in columns] for row in rows]
        console().print(table(None, ("token", "user", "scopes", "last use", "until"), shown))
    else:
        print("No token yet: `nightjar token add NAME --scope read`.")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """What a token may do; of `local`, this machine's own, the secret. Example: nightjar token show local"""
    from nightjar.config.settings import load_settings
    from nightjar.web.arrival import LOCAL, token_file

    file = token_file(load_settings().home)
    if name == LOCAL and not as_json:
        if not file.exists():
            raise UsageError("There is no local token yet: `nightjar serve` makes one.")
        print(file.read_text("utf-8").strip())
        return
    tokens = {token.id: token for token in _load()}
    if name not in tokens:
        raise UnknownNameError("token", name, tokens)
    row = _row(tokens[name])
    if as_json:
        emit_json({"token": row})
    else:
        for key, value in row.items():
            print(plain(f"{key.replace('_', ' ')}: {_text(value) or '-'}"))


@app.command()
def rm(name: Name) -> None:
    """Remove a token; it opens nothing from now on. Example: nightjar token rm grafana"""
    from nightjar.jobs.accounts import remove_token
    from nightjar.scripts.session import open_session, run_async

    async def remove() -> None:
        async with open_session() as session:
            await remove_token(name, session.database)

    run_async(remove())
    print(plain(f"Removed token {name!r}."))


def _load() -> list[ApiToken]:
    from nightjar.jobs.account_documents import ApiToken
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[ApiToken]:
        async with open_session(reading=True):
            return await ApiToken.find_all().sort("+_id").to_list()

    return run_async(load())


def _row(token: ApiToken) -> dict[str, Any]:
    return {
        "name": token.id,
        "user": token.user,
        "scopes": [str(scope) for scope in token.scopes],
        "per_minute": token.per_minute,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "last_used_from": token.last_used_from,
    }


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "isoformat") else value
