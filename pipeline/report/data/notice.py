"""What stands at the head of a report. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A statement at the head of the report that the reader must not miss."""

    level: Literal["warning", "info"]
    text: str
    topic: Literal["run", "failure"] = "run"
    """Notices on failures have a place of their own on the page."""
