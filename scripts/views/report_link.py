"""Where a report is, as a link that a terminal opens at a click, and opened in the browser where that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nightjar.config.errors import UsageError

PAGE = "html"


def link(path: Path) -> str:
    """A file:// address."""
    return path.absolute().as_uri()


def check_opens(formats: Sequence[str]) -> None:
    """Raises UsageError where there will be no page to open."""
    if PAGE not in formats:
        raise UsageError(f"--open shows the report's page; have it written, too: --format {PAGE}.")


def open_page(paths: Sequence[Path]) -> None:
    """Shows the page in the browser; where there is none, says so."""
    import webbrowser

    page = next((path for path in paths if path.suffix == f".{PAGE}"), None)
    if page is not None and not webbrowser.open(link(page)):
        print(f"nightjar: no browser was found here; {link(page)} is the page.", file=sys.stderr)
