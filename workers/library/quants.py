"""Chooses a file of a repository: groups split files, reads quantisations from names, and picks one. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from nightjar.config.errors import ModelFitError, UnknownNameError, UsageError
from nightjar.workers.library.gguf.split import split_names

AUTO = "auto"
ROOM_FOR_WEIGHTS = 0.85
"""Share of the memory that weights may take when a file is chosen before its shape is known; KV gets the rest."""
_QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])(IQ\d_[A-Z]+|TQ\d_\d|Q\d_K_(?:XL|[SML])|Q\d_K|Q\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_FULL_PRECISION = ("F16", "BF16", "F32", "FP16", "FP32")
_NO_MODELS = ("mmproj", "imatrix", "-lora", "vocab")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository as the hub lists it."""

    name: str
    """Path in the repository; checked: it leads out of no folder and has no control character."""
    bytes: int
    sha256: str | None
    """64 hexadecimal digits; None for small files that are not stored by content."""


@dataclass(frozen=True, kw_only=True)
class QuantFile:
    """One model of a repository: its file, or all its parts in order."""

    files: tuple[RemoteFile, ...]

    @property
    def name(self) -> str:
        return self.files[0].name

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def quantisation(self) -> str | None:
        """As in the file name, in capitals; None if the name has none."""
        labels = _QUANTISATION.findall(self.name)
        return labels[-1].upper() if labels else None


def choices(files: Iterable[RemoteFile]) -> list[QuantFile]:
    """The models among a repository's files, smallest first; split files with a missing part are left out."""
    by_name = {file.name: file for file in files if _may_be_model(file.name)}
    models: dict[tuple[str, ...], QuantFile] = {}
    for name in by_name:
        path = PurePosixPath(name)
        parts = tuple(str(path.with_name(part)) for part in split_names(path.name))
        if all(part in by_name for part in parts):
            models[parts] = QuantFile(files=tuple(by_name[part] for part in parts))
    return sorted(models.values(), key=lambda choice: (choice.bytes, choice.name))


def choose_quant(
    repo: str,
    files: Sequence[RemoteFile],
    *,
    pattern: str | None = None,
    quantisation: str | None = None,
    room_bytes: int | None = None,
) -> QuantFile:
    """The file to fetch: by pattern, by quantisation, or (`auto`, and by default) the best that fits `room_bytes`.

    Raises UnknownNameError with the nearest names, UsageError if a pattern matches several, ModelFitError.
    """
    offered = choices(files)
    if not offered:
        raise UnknownNameError(
            "GGUF model in the repository",
            repo,
            [],
            "Look for a repository of the same model whose name ends in -GGUF.",
        )
    if pattern is not None:
        offered = _matching(repo, offered, pattern)
    if quantisation is not None and quantisation.lower() != AUTO:
        offered = _quantised(repo, offered, quantisation)
    if len(offered) == 1:
        return offered[0]
    if quantisation is None and pattern is not None:
        raise UsageError(
            f"The pattern {pattern!r} fits {len(offered)} models of {repo}: {_listed(offered)}. "
            "Give a longer pattern, or --quant."
        )
    return best_fit(repo, offered, room_bytes)


def best_fit(repo: str, offered: Sequence[QuantFile], room_bytes: int | None) -> QuantFile:
    """The largest quantised file that leaves room for KV; full precision only if nothing else is offered."""
    quantised = [choice for choice in offered if choice.quantisation not in _FULL_PRECISION] or list(offered)
    if room_bytes is None:
        return quantised[-1]
    most = int(room_bytes * ROOM_FOR_WEIGHTS)
    fitting = [choice for choice in quantised if choice.bytes <= most]
    if fitting:
        return fitting[-1]
    smallest = quantised[0]
    raise ModelFitError(
        f"No file of {repo} fits this machine: the smallest, {smallest.name}, has {smallest.bytes / 1e9:.1f} GB, and "
        f"{most / 1e9:.1f} GB of {room_bytes / 1e9:.1f} GB may be weights. Take a smaller model "
        "(`nightjar model recommend`), or name the file with --quant to fetch it all the same."
    )


def _may_be_model(name: str) -> bool:
    lower = PurePosixPath(name).name.lower()
    return lower.endswith(".gguf") and not any(word in lower for word in _NO_MODELS)


def _matching(repo: str, offered: Sequence[QuantFile], pattern: str) -> list[QuantFile]:
    wanted = pattern.lower()
    matching = [
        choice
        for choice in offered
        if any(fnmatch.fnmatch(name.lower(), wanted) for file in choice.files for name in _names(file.name))
    ]
    if not matching:
        raise UnknownNameError("file", pattern, [choice.name for choice in offered], within=repo)
    return matching


def _names(name: str) -> tuple[str, str]:
    return name, PurePosixPath(name).name


def _quantised(repo: str, offered: Sequence[QuantFile], quantisation: str) -> list[QuantFile]:
    matching = [choice for choice in offered if choice.quantisation == quantisation.upper()]
    if not matching:
        known = [choice.quantisation for choice in offered if choice.quantisation]
        raise UnknownNameError("quantisation", quantisation, known, within=repo)
    return matching[:1]


def _listed(offered: Sequence[QuantFile]) -> str:
    return ", ".join(choice.name for choice in offered[:6]) + (", ..." if len(offered) > 6 else "")
