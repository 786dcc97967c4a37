"""The result of one check of `nightjar doctor`."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of a check: its `state`, what was found, and what to do about it."""

    name: str
    state: str
    """"fine", "warning" or "problem"."""
    found: str
    remedy: str | None = None
    """What to do; present unless the state is fine."""


def gib(count: int) -> str:
    """Bytes for people, in GiB."""
    return f"{count / GIB:.1f} GiB"
