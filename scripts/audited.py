"""What a command changes of users and tokens, written to the audit as what the page changes is."""

from __future__ import annotations

import getpass
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nightjar.config.errors import NightjarError
from nightjar.jobs.accounts.access import audit

BY_COMMAND = "command line"


@asynccontextmanager
async def audited(action: str, about: str, **details: Any) -> AsyncIterator[None]:
    """Notes what is done inside, or why it was refused; who is the account of this machine, from where its name."""
    try:
        yield
    except NightjarError as error:
        await audit(who_types(), platform.node(), action, about, str(error), details=details)
        raise
    await audit(who_types(), platform.node(), action, about, "done", details=details)


def who_types() -> str:
    """The account that runs the command; no user of the page is called so."""
    try:
        return f"{getpass.getuser()} ({BY_COMMAND})"
    except (OSError, KeyError):  # an account without a name, as containers have them
        return BY_COMMAND
