"""A home with a page and a worker, as a browser that is logged in sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser

from tests.browser import Watched
from tests.home import Home, eventually

WITHIN_S = 120.0
SLOW = """
nightjar: 1
name: slow
parameters: { max_tokens: 1900, json_schema: { type: string, minLength: 6000 } }
sequences:
"""
"""Replies that go on for a while, whatever the model would like."""


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A home with a server and a worker, and what a browser needs to be logged in."""

    home: Home
    address: str
    login: dict[str, Any]

    @classmethod
    def served(cls, home: Home, browser: Browser) -> Lived:
        """Starts the home's server, without workers, and logs in by its link."""
        home.start("serve", "serve", "--port", "0", "--workers", "none")
        eventually(lambda: "token show local" in home.said("serve"), WITHIN_S, lambda: home.said("serve"))
        link = next(word for word in home.said("serve").split() if "#key=" in word and "127.0.0.1" in word)
        watched = Watched.open(browser, link.partition("/login")[0])
        watched.page.goto(link)
        watched.page.wait_for_selector("nav a")
        login = dict(watched.page.context.storage_state())
        watched.page.context.close()
        return cls(home=home, address=watched.address, login=login)

    @property
    def token(self) -> str:
        """Of this machine's own programs."""
        return (self.home.path / "web" / "token").read_text("utf-8").strip()

    def open(self, browser: Browser, **options: Any) -> Watched:
        return Watched.open(browser, self.address, storage_state=self.login, **options)


def start_worker(home: Home) -> None:
    if "worker" not in home.running:
        home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "2", "--live", "1")
    eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("worker"))
