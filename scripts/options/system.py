"""`--system [NAME=]FILE`: system prompts to try one beside the other, each a variant of every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.jobs.variants import Variant

OWN = "suite"
"""Stands for what the suite has. A file of that name is given as ./suite."""
MOST_CHARS = 1_000_000


def read_systems(texts: Sequence[str]) -> tuple[Variant, ...]:
    """A variant for each. Raises UsageError that names the file."""
    from nightjar.config.errors import UsageError

    variants: dict[str, Variant] = {}
    for text in texts:
        variant = _variant(text)
        if variant.name in variants:
            raise UsageError(
                f"Two system prompts are called {variant.name!r}; name one yourself: --system NAME={text}."
            )
        variants[variant.name] = variant
    return tuple(variants.values())


def _variant(text: str) -> Variant:
    import re

    from nightjar.config.errors import UsageError
    from nightjar.jobs.names import made_name
    from nightjar.jobs.variants import VARIANT_PATTERN, Variant
    from nightjar.pipeline.suites.variables import escaped

    if text == OWN:
        return Variant(name=OWN)
    name, given, file = text.partition("=")
    if not given or Path(text).is_file():
        name, file = "", text
    path = Path(file).expanduser()
    if name and not re.fullmatch(VARIANT_PATTERN, name):
        raise UsageError(f"--system {text}: {name!r} is no name: use letters, digits, '.', '_' and '-', at most 60.")
    name = name or made_name(path.stem, marks="._-", longest=60, otherwise="system").rstrip("._-")
    return Variant(name=name, system=escaped(_read(path)))


def _read(path: Path) -> str:
    """What is in the file; an empty one means no system prompt. Its braces are plain text."""
    from nightjar.config.errors import UsageError

    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--system {path}: the system prompt cannot be read: {why}.") from None
    if len(text) > MOST_CHARS:
        raise UsageError(f"--system {path}: a system prompt has at most {MOST_CHARS:,} characters; this has more.")
    return text
