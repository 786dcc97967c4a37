"""Pages in a real Chromium: what went wrong in them is kept, and nothing foreign is loaded."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Route

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 120_000
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""A folder for pictures of the pages, for people to look at."""


@dataclass
class Watched:
    """A page, and what went wrong in it."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, address: str, **options: Any) -> Watched:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        watched = cls(page=context.new_page(), address=address)
        watched.page.on("console", watched._console)
        watched.page.on("pageerror", lambda error: watched.wrong.append(str(error)))
        context.route("**/*", watched._route)
        return watched

    @classmethod
    def beside(cls, other: Watched) -> Watched:
        """Another tab of the same browser."""
        watched = cls(page=other.page.context.new_page(), address=other.address)
        watched.page.on("console", watched._console)
        watched.page.on("pageerror", lambda error: watched.wrong.append(str(error)))
        return watched

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _route(self, route: Route) -> None:
        if route.request.url.startswith((self.address, "data:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)
        assert self.page.locator("h1").is_visible(), path

    def check(self, path: str) -> None:
        assert self.wrong == [], f"{path}: {self.wrong}"
        assert self.foreign == [], f"{path}: {self.foreign}"


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS is not None:
        path = Path(SCREENSHOTS) / f"{name.strip('/').replace('/', '_') or 'now'}.png"
        page.screenshot(path=path, full_page=True)
