"""Split GGUF files: `name-00001-of-00003.gguf` and its siblings."""

from __future__ import annotations

import re
from pathlib import Path

from nightjar.config.errors import ModelFileError

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)$", re.IGNORECASE)


def split_names(name: str) -> tuple[str, ...]:
    """File names of all parts, in order, of the model that `name` is a part of; `name` alone if it is not split."""
    match = _PART.match(name)
    if match is None:
        return (name,)
    count = int(match["count"])
    return tuple(f"{match['stem']}-{part:05d}-of-{count:05d}{match['end']}" for part in range(1, count + 1))


def stem(name: str) -> str:
    """The name of a model file without part numbers and ending."""
    match = _PART.match(name)
    return match["stem"] if match else re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def is_later_part(name: str) -> bool:
    """True for the second and later parts: files that are no model of their own."""
    match = _PART.match(name)
    return match is not None and int(match["number"]) != 1


def parts_of(path: Path) -> tuple[Path, ...]:
    """All parts of the model at `path`, in order.

    Raises ModelFileError that names the missing ones, and for a name that cannot be stored or shown.
    """
    readable = str(path).encode("utf-8", "backslashreplace").decode()
    if readable != str(path):
        raise ModelFileError(f"The name {readable} is not UTF-8, so it cannot be stored. Rename the file or folder.")
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}. Check the path, or `nightjar model list`.")
    parts = tuple(path.with_name(name) for name in split_names(path.name))
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelFileError(
            f"{path} is one of {len(parts)} parts, and {len(missing)} are missing beside it: "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}. Fetch them into the same folder."
        )
    return parts
