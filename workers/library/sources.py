"""Turns a model's source, as a user types it, into the keys of a registry entry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import UsageError
from nightjar.workers.library.find import path_bases
from nightjar.workers.library.gguf.split import stem
from nightjar.workers.library.names import name_of_file
from nightjar.workers.library.no_model import refusal

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

_REPO = re.compile(
    r"^(?:hf://|hf\.co/|https?://[^/]+/)?(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+?)"
    r"(?:@(?P<revision>[\w./-]+))?(?::(?P<file>[^:]+))?$"
)
_SERVER = re.compile(r"^https?://[^/]+/.*\bv\d+/?$")
"""https://api.example.org/openai/v1 has the form of OWNER/REPO at a mirror of the hub."""


@dataclass(frozen=True, kw_only=True)
class NamedSource:
    """A model's source, and the name it suggests."""

    name: str
    keys: dict[str, Any] = field(default_factory=dict)
    """Keys of a registry entry: path | repo, revision, file | ollama."""

    @property
    def is_local(self) -> bool:
        return "repo" not in self.keys


def read_source(text: str, settings: Settings) -> NamedSource:
    """FILE.gguf | OWNER/REPO[@REVISION][:FILE or quantisation] | ollama:NAME. Raises UsageError."""
    if text.startswith("ollama:"):
        name = text.removeprefix("ollama:")
        return NamedSource(name=name.replace("/", "-"), keys={"ollama": name})
    path = Path(text).expanduser()
    if path.is_file():
        return NamedSource(name=name_of_file(path), keys={"path": portable_path(path, settings)})
    match = _REPO.match(text)
    written_as_path = text.startswith((".", "/", "~")) or (text.lower().endswith(".gguf") and ":" not in text)
    if match and not written_as_path and not _SERVER.search(text):
        return NamedSource(name=_repo_name(match["repo"]), keys=_repo_keys(match))
    if (error := refusal(text)) is not None:
        raise UsageError(str(error))
    raise UsageError(
        f"{text!r} is no model source: there is no such file, and it is neither OWNER/REPO on the hub "
        "(optionally with @REVISION and :FILE or :QUANTISATION) nor ollama:NAME."
    )


def portable_path(path: Path, settings: Settings) -> str:
    """The path as the registry stores it: relative to `models/` or the project if it is inside one of them."""
    absolute = path.absolute()
    for base in path_bases(settings):
        if absolute.is_relative_to(base):
            return absolute.relative_to(base).as_posix()
    return str(absolute)


def _repo_name(repo: str) -> str:
    name = repo.partition("/")[2]
    return re.sub(r"[-_.]?gguf$", "", name, flags=re.IGNORECASE).lower() or name.lower()


def _repo_keys(match: re.Match[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {"repo": match["repo"]}
    if match["revision"]:
        keys["revision"] = match["revision"]
    if match["file"]:
        file = match["file"]
        keys["file"] = file if file.lower().endswith(".gguf") else f"*{stem(file)}*.gguf"
    return keys
