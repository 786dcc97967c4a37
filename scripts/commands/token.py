"""`nightjar token`: keys for programs that speak to `nightjar serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.views.output import Json, emit_json, plain

if TYPE_CHECKING:
    from nightjar.jobs.accounts.documents import ApiToken
    from nightjar.jobs.accounts.token_ledger import TokenUsage

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keys for programs, each for a few things only.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A token's name.")]
Budget = Annotated[
    float | None, typer.Option(metavar="USD", help="What its live requests may cost at endpoints in a month (UTC).")
]
BudgetADay = Annotated[float | None, typer.Option(metavar="USD", help="The same in a day.")]
TokensAMonth = Annotated[
    int | None, typer.Option(min=1, help="Tokens of prompts and replies in a month (UTC), of local models, too.")
]
TokensADay = Annotated[int | None, typer.Option(min=1, help="The same in a day.")]


@app.command()
def add(
    name: Name,
    scope: Annotated[
        list[str], typer.Option(help="What it is good for: read, run, v1 (replies), metrics, admin; repeatable.")
    ],
    user: Annotated[str | None, typer.Option(help="On whose behalf; needed once there are users.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Most requests in a minute.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="It ends after so many days.")] = None,
    budget: Budget = None,
    budget_a_day: BudgetADay = None,
    tokens_a_month: TokensAMonth = None,
    tokens_a_day: TokensADay = None,
) -> None:
    """Make a token and print it, this once. Example: nightjar token add grafana --scope metrics --user ann"""
    from nightjar.jobs.accounts.access import add_token, token_owner
    from nightjar.jobs.accounts.read_accounts import check_account_name, read_limits, read_scopes
    from nightjar.scripts.audited import audited
    from nightjar.scripts.session import open_session, run_async

    check_account_name(name)
    scopes = read_scopes(scope)
    budgets = read_limits(budget, budget_a_day, tokens_a_month, tokens_a_day)

    async def make() -> str:
        async with open_session() as session, audited("add-token", name, user=user, scopes=scopes, days=days):
            owner = await token_owner(user)
            limits: dict[str, Any] = {"per_minute": per_minute, "days": days, "limits": budgets}
            return await add_token(name, owner, scopes, database=session.database, **limits)

    print(run_async(make()))


@app.command()
def budget(
    name: Name,
    budget: Budget = None,
    budget_a_day: BudgetADay = None,
    tokens_a_month: TokensAMonth = None,
    tokens_a_day: TokensADay = None,
) -> None:
    """Set all budgets of a token; one that is not given has no limit. Example: nightjar token budget ci --budget 5"""
    from nightjar.jobs.accounts.access import limit_token
    from nightjar.jobs.accounts.read_accounts import read_limits
    from nightjar.jobs.accounts.token_ledger import limit_words
    from nightjar.scripts.audited import audited
    from nightjar.scripts.session import open_session, run_async

    limits = read_limits(budget, budget_a_day, tokens_a_month, tokens_a_day)

    async def change() -> None:
        async with open_session() as session, audited("set-budget", name, **limits.model_dump()):
            await limit_token(name, limits, session.database)

    run_async(change())
    print(plain(f"Token {name!r}: {limit_words(limits) or 'no limit'}."))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every token without its secret, and what it took of each model. Example: nightjar token list"""
    from nightjar.scripts.views.tokens import print_tokens, token_row

    tokens, usage = _load()
    if as_json:
        emit_json({"tokens": [token_row(token, usage) for token in tokens]})
    elif tokens:
        print_tokens(tokens, usage)
    else:
        print("No token yet: `nightjar token add NAME --scope read`.")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """What a token may do and took; of `local`, this machine's own, the secret. Example: nightjar token show local"""
    from nightjar.config.settings import load_settings
    from nightjar.scripts.views.tokens import print_token, token_row
    from nightjar.web.arrival import LOCAL, token_file

    file = token_file(load_settings().home)
    if name == LOCAL and not as_json:
        if not file.exists():
            raise UsageError("There is no local token yet: `nightjar serve` makes one.")
        print(file.read_text("utf-8").strip())
        return
    all_tokens, usage = _load()
    tokens = {token.id: token for token in all_tokens}
    if name not in tokens:
        raise UnknownNameError("token", name, tokens)
    if as_json:
        emit_json({"token": token_row(tokens[name], usage)})
    else:
        print_token(tokens[name], usage)


@app.command()
def rm(name: Name) -> None:
    """Remove a token; it opens nothing from now on. Example: nightjar token rm grafana"""
    from nightjar.jobs.accounts.access import remove_token
    from nightjar.scripts.audited import audited
    from nightjar.scripts.session import open_session, run_async

    async def remove() -> None:
        async with open_session() as session, audited("remove-token", name):
            await remove_token(name, session.database)

    run_async(remove())
    print(plain(f"Removed token {name!r}."))


def _load() -> tuple[list[ApiToken], list[TokenUsage]]:
    from nightjar.jobs.accounts.documents import ApiToken
    from nightjar.jobs.accounts.token_ledger import usage_of_tokens
    from nightjar.jobs.mongo import utc_now
    from nightjar.scripts.session import open_session, run_async

    async def load() -> tuple[list[ApiToken], list[TokenUsage]]:
        async with open_session(reading=True) as session:
            return await ApiToken.find_all().sort("+_id").to_list(), await usage_of_tokens(session.database, utc_now())

    return run_async(load())
