"""How templates become HTML, those of reports and of the web room: every text is escaped and made visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nightjar.pipeline.report.data.safe import visible

TEMPLATES = Path(__file__).parent / "templates"
"""Of reports; the web room uses their macros and their style."""


def template_environment(*folders: Path) -> Environment:
    """The environment of the templates in these folders; an earlier folder's go before those of a later one."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["address"] = str  # a report has no address; a page of the web room may lie below a path
    return environment


def _finalize(value: Any) -> Any:
    """Makes every text visible; the page's own markup is left as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
