"""Names, roles and scopes as they are typed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nightjar.config.errors import UsageError
from nightjar.jobs.accounts.documents import Role, TokenLimits, TokenScope

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,59}")
RESERVED = ("owner", "nobody")


def check_account_name(name: str) -> None:
    """Raises UsageError for what no user or token may be called."""
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        raise UsageError(
            f"The name {name!r} is not allowed: letters, digits, '.', '_', '@' and '-', at most 60, and not "
            f"{' or '.join(RESERVED)}."
        )


def read_role(text: str) -> Role:
    """Raises UsageError."""
    roles = [role for role in Role if role is not Role.NOBODY]
    if text not in roles:
        raise UsageError(f"The role {text!r} is not known; it is {', '.join(roles[:-1])} or {roles[-1]}.")
    return Role(text)


def read_scopes(texts: Sequence[str]) -> list[TokenScope]:
    """Raises UsageError."""
    unknown = [text for text in texts if text not in list(TokenScope)]
    if unknown or not texts:
        said = f"The scope {unknown[0]!r} is not known" if unknown else "Give a --scope"
        raise UsageError(f"{said}; there are {', '.join(TokenScope)}.")
    return [TokenScope(text) for text in texts]


def read_limits(
    budget: float | None, budget_a_day: float | None, tokens_a_month: int | None, tokens_a_day: int | None
) -> TokenLimits:
    """What a token's requests may come to. Raises UsageError for dollars that are no amount."""
    for option, amount in (("--budget", budget), ("--budget-a-day", budget_a_day)):
        if amount is not None and not (math.isfinite(amount) and amount > 0):
            raise UsageError(f"{option} is {amount}: give US dollars, more than 0.")
    return TokenLimits(usd_month=budget, usd_day=budget_a_day, tokens_month=tokens_a_month, tokens_day=tokens_a_day)
