"""`[endpoints.NAME]` of models.toml: servers that answer for models, each with the origin that its key is bound to."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nightjar.config.errors import SettingsError, UsageError, suggest
from nightjar.jobs.remote_models import Dialect, Price

ENDPOINTS = "endpoints"
"""The table of models.toml that holds them; no model can be called so."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
ENDPOINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEFAULT_CONCURRENCY = 8
_CALLS = ("/chat/completions", "/completions", "/embeddings", "/models")
_KEYLIKE = re.compile(r"(?=.*\d)(?=.*[a-z])[A-Za-z0-9_]{24,}")
"""Long, with small letters and digits: keys look so, and names of variables do not."""


class EndpointLimits(BaseModel):
    """What an endpoint allows, all workers together; concurrency: each worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = Field(DEFAULT_CONCURRENCY, ge=1, le=1024)
    rpm: int | None = Field(None, ge=1)
    """Requests per minute."""
    tpm: int | None = Field(None, ge=1)
    """Tokens per minute, prompts and replies."""


class RemoteEndpoint(BaseModel):
    """A server that speaks OpenAI's protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base_url: str
    """With the path before /chat/completions: https://api.example.org/v1."""
    key_env: str | None = None
    """Name of the environment variable that holds the key; never the key."""
    kind: Dialect = Dialect.OPENAI
    context: int | None = Field(None, ge=16)
    """Tokens per conversation of its models, where a model does not say otherwise."""
    price: Price | None = None
    limits: EndpointLimits = EndpointLimits()
    budget: float | None = Field(None, gt=0)
    """US dollars in a calendar month (UTC)."""
    allow_private: bool = False
    """It may lie on this machine or in a private network, and be spoken to without TLS."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address is http(s)://HOST[:PORT]/PATH")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("an address has no user, password, query or fragment: keys are named by key_env")
        if parts.port == 0:  # reading it raises ValueError where it is no port at all
            raise ValueError("a port is between 1 and 65535")
        if parts.path.rstrip("/").endswith(_CALLS):
            raise ValueError(f"an address ends before {' or '.join(_CALLS)}: these are added to it")
        return url.rstrip("/")

    @field_validator("key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        if name is not None and (not VARIABLE.fullmatch(name) or _KEYLIKE.fullmatch(name)):
            raise ValueError("key_env is the name of an environment variable, never a key")
        return name

    @model_validator(mode="after")
    def _private_only_if_allowed(self) -> RemoteEndpoint:
        if self.allow_private:
            return self
        host = urlsplit(self.base_url).hostname or ""
        if not self.base_url.startswith("https:"):
            raise ValueError("it must be https, unless allow_private says that it is in a network of your own")
        if host == "localhost" or host.endswith(".localhost") or _is_private(host):
            raise ValueError(f"{host} is a private address; allow_private = true allows it")
        return self

    @property
    def origin(self) -> tuple[str, str, int]:
        """(scheme, host, port): where the key may be sent, and nowhere else."""
        parts = urlsplit(self.base_url)
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def host(self) -> str:
        """Host and port as written."""
        return urlsplit(self.base_url).netloc

    def check_reachable(self) -> None:
        """Raises UsageError where its name leads into a private network and may not. Looks the name up."""
        if self.allow_private:
            return
        _, host, port = self.origin
        try:
            found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        except OSError:
            return  # the request will say so
        if private := sorted(filter(_is_private, found)):
            raise UsageError(f"{host} leads to {private[0]}, a private address. `allow_private = true` allows it.")


def base_address(text: str) -> str | None:
    """What of an address an endpoint could have, without a call, user and query; None where a model can't answer there.

    Servers have the calls below /v1, which is added where no path is given.
    """
    try:
        parts = urlsplit(text.strip())
        host = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/")
        path = next((path.removesuffix(call) for call in _CALLS if path.endswith(call)), path)
        return RemoteEndpoint(base_url=f"{parts.scheme}://{host}{path or '/v1'}", allow_private=True).base_url
    except ValueError:
        return None


def needs_allowance(base_url: str) -> bool:
    """Whether the address is taken with `allow_private` alone. No name is looked up."""
    try:
        RemoteEndpoint(base_url=base_url)
    except ValueError:
        return True
    return False


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return False


def parse_endpoint(name: str, table: Any, where: str) -> RemoteEndpoint:
    """One endpoint's table; `where` names it in errors. Raises SettingsError."""
    if not ENDPOINT_NAME.fullmatch(name):
        raise SettingsError(f"{where}: an endpoint's name has letters, digits and . _ - only, and begins with one.")
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: expected a table [{ENDPOINTS}.{name}] with its base_url, found no table.")
    for key in table:
        if key not in RemoteEndpoint.model_fields:
            raise SettingsError(f"{where}: unknown key {key!r}. {suggest(key, RemoteEndpoint.model_fields)}")
    try:
        return RemoteEndpoint.model_validate(table)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_first_of(error)}.") from None


def _first_of(error: ValidationError) -> str:
    """Without the value where that may be a key that was pasted in the wrong place."""
    first = error.errors(include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def unknown_endpoint(name: str, known: Iterable[str]) -> str:
    """A sentence about an endpoint that nobody added."""
    return f"There is no endpoint {name!r}. {suggest(name, known, 'endpoint')} `nightjar endpoint add` makes one known."
