"""Keys of endpoints: by the name of an environment variable only, and hidden wherever they might be written."""

from __future__ import annotations

import os

from pydantic import SecretStr

from nightjar.config.redact import remember


def endpoint_key(variable: str | None) -> SecretStr | None:
    """The key in that variable, hidden in all output from now on; None where it is not set or none is named."""
    text = os.environ.get(variable, "").strip() if variable else ""
    if not text:
        return None
    key = SecretStr(text)
    remember(key)
    return key
