"""Names, roles and scopes as they are typed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nightjar.config.errors import UsageError
from nightjar.jobs.account_documents import Role, TokenScope

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
