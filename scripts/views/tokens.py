"""API tokens with their budgets, and what their requests took: as rows for scripts and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nightjar.jobs.accounts.documents import ApiToken
from nightjar.jobs.accounts.token_ledger import TokenUsage, limit_words
from nightjar.jobs.remote_models import usd_text
from nightjar.scripts.views.output import console, plain, table


def token_row(token: ApiToken, usage: Sequence[TokenUsage]) -> dict[str, Any]:
    """Of one token. `usage`: of any."""
    mine = [{key: value for key, value in asdict(use).items() if key != "token"} for use in of_token(token, usage)]
    return {
        "name": token.id,
        "user": token.user,
        "scopes": [str(scope) for scope in token.scopes],
        "per_minute": token.per_minute,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "last_used_from": token.last_used_from,
        "limits": token.limits.model_dump(),
        "use": mine,
    }


def of_token(token: ApiToken, usage: Sequence[TokenUsage]) -> list[TokenUsage]:
    """What this token's requests came to, model by model."""
    return [use for use in usage if use.token == token.id]


def print_tokens(tokens: Sequence[ApiToken], usage: Sequence[TokenUsage]) -> None:
    """A line a token, and what each took of each model in this month."""
    rows = [
        (
            token.id,
            token.user,
            ", ".join(token.scopes),
            limit_words(token.limits),
            _moment(token.last_used_at),
            _moment(token.expires_at),
        )
        for token in tokens
    ]
    console().print(table(None, ("token", "user", "scopes", "budget", "last use", "until"), rows))
    used = [use for token in tokens for use in of_token(token, usage)]
    if used:
        print_usage(used)


def print_usage(usage: Sequence[TokenUsage]) -> None:
    """What tokens took of each model."""
    heads = ("token", "model", "requests>", "prompt>", "reply>", "tokens today>", "cost>", "cost today>")
    console().print(table("In this month (UTC)", heads, [usage_cells(use) for use in usage]))


def usage_cells(use: TokenUsage) -> tuple[str | None, ...]:
    """A row of that table. Requests under way count in the tokens of today alone."""
    unpriced = use.unpriced
    local = use.usd is None and not unpriced
    return (
        use.token,
        use.model,
        f"{use.requests:,}",
        f"{use.prompt_tokens:,}",
        f"{use.reply_tokens:,}",
        f"{use.tokens_day:,}",
        None if local else usd_text(use.usd, unpriced=unpriced),
        None if local else usd_text(use.usd_day, unpriced=unpriced),
    )


def print_token(token: ApiToken, usage: Sequence[TokenUsage]) -> None:
    """One token, a line a field."""
    row = token_row(token, usage)
    shown = {key: value for key, value in row.items() if key not in ("limits", "use")}
    for key, value in (shown | {"budget": limit_words(token.limits)}).items():
        print(plain(f"{key.replace('_', ' ')}: {_text(value) or '-'}"))
    if mine := of_token(token, usage):
        print_usage(mine)


def _moment(at: Any) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M}"


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value)
    return _moment(value) if hasattr(value, "isoformat") else value
