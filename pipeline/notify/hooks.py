"""`--on-finish`: a web address, mailto:ADDRESS, or a command. Pure."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote, urlsplit

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import Hook, HookKind

_ADDRESS = re.compile(r"[^\s@<>,;\"']+@[^\s@<>,;\"']+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)


def parse_hook(text: str) -> Hook:
    """The hook of `--on-finish`. Raises UsageError for an address that cannot be called, or for what is no command."""
    wanted = text.strip()
    scheme = _SCHEME.match(wanted)
    name = scheme[1].lower() if scheme else ""
    if name == "mailto":
        return Hook(kind=HookKind.MAIL, target=_mail(wanted))
    if name in ("http", "https"):
        return Hook(kind=HookKind.WEBHOOK, target=_web(wanted))
    if scheme and scheme[2]:
        raise UsageError(f"--on-finish {text!r}: only http, https and mailto addresses can be called, or a command.")
    try:
        argv = shlex.split(wanted)
    except ValueError as error:
        raise UsageError(f"--on-finish {text!r} is not a command line: {str(error).lower()}.") from None
    if not argv:
        raise UsageError("--on-finish is empty: give a web address, mailto:ADDRESS, or a command.")
    return Hook(kind=HookKind.COMMAND, target=wanted)


def _mail(wanted: str) -> str:
    address = unquote(wanted.partition(":")[2])
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--on-finish {wanted!r} is not a mail address: write mailto:somebody@example.org.")
    return address


def _web(wanted: str) -> str:
    try:
        parts = urlsplit(wanted)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--on-finish {wanted!r} is not a web address: {error}.") from None
    if not parts.hostname or port == 0 or re.search(r"[\s\x00-\x1f\x7f]", wanted) or not wanted.isascii():
        raise UsageError(f"--on-finish {wanted!r} is not a web address: write https://host/path, in ASCII.")
    return wanted
