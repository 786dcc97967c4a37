"""What a hub may answer: form of commits, digests, sizes and names. A hub, or a mirror of one, may be hostile. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nightjar.config.errors import HubError
from nightjar.workers.library.quants import RemoteFile

COMMIT = r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$"
DIGEST = r"^[0-9a-f]{64}$"
REPO = r"^[A-Za-z0-9][\w.-]*/[\w.-]+$"
REVISION = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"
MOST_BYTES = 2**50


def checked_commit(repo: str, commit: Any) -> str:
    """The commit. Raises HubError where it is none."""
    if isinstance(commit, str) and _is(COMMIT, commit):
        return commit
    raise HubError(
        f"The hub names {shown(commit)} as the commit of {repo}, which is none: 40 hexadecimal digits were expected. "
        "Nothing was fetched. Check HF_ENDPOINT; if it is right, do not trust this repository."
    )


def checked_file(repo: str, name: Any, size: Any, digest: Any) -> RemoteFile:
    """A file of a listing. Raises HubError for a name that leads out of its folder or would act on a terminal, for a
    digest that is none, and for an impossible size."""
    wrong = ""
    if not isinstance(name, str) or not is_safe_path(name):
        wrong = "a name that no file of a repository can have"
    elif digest is not None and not (isinstance(digest, str) and _is(DIGEST, digest)):
        wrong = f"the SHA-256 {shown(digest)}, which is none"
    elif size is not None and (not isinstance(size, int) or not 0 <= size < MOST_BYTES):
        wrong = f"the size {shown(size)}, which is none"
    if wrong:
        raise HubError(
            f"The hub gives {shown(name)} of {repo} {wrong}. Nothing was fetched. Check HF_ENDPOINT; if it is right, "
            "do not trust this repository."
        )
    return RemoteFile(name=name, bytes=size or 0, sha256=digest)


def check_digests(repo: str, files: Iterable[RemoteFile]) -> None:
    """Raises HubError for a model file whose digest the hub does not give: nothing could say that it arrived whole."""
    for file in files:
        if file.sha256 is None:
            raise HubError(
                f"The hub gives no SHA-256 for {file.name} of {repo}, so that nobody could tell whether what arrives "
                "is what was meant. Fetch it by other means, and make it known with `nightjar model add FILE`."
            )


def is_safe_path(name: str) -> bool:
    """A relative path whose parts are plain names: no way out of a folder, nothing that a terminal would obey."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and len(name) <= 1024
    return plain and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)


def safe_names(names: Iterable[Any], pattern: str) -> list[str]:
    """Those of the names, from the hub, that have the form of one."""
    return [name for name in names if isinstance(name, str) and _is(pattern, name)]


def safe_licence(value: Any) -> str | None:
    """A licence, or a list of them, as a short line; None where the hub gives none that could be shown."""
    names = value if isinstance(value, list) else [value]
    said = ", ".join(name for name in names if isinstance(name, str) and name.isprintable())
    return said[:200] or None


def shown(value: Any) -> str:
    """A value of the hub's for a message: quoted, in ASCII, short."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None and text.isprintable()
