"""One Chromium for the tests of a module, and a home that is served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.web.lived import SLOW, WITHIN_S, Lived
from tests.browser import CHROMIUM, Watched
from tests.home import Home, eventually


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def lived(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    home = Home(folder=tmp_path_factory.mktemp("live"))
    try:
        suite = home.folder / "slow.yaml"
        suite.write_text(SLOW + "".join(f"  - id: s{n}\n    turns: [{{ prompt: Go on }}]\n" for n in range(40)))
        home.ok("services", "up")
        home.ok("suite", "import", str(suite))
        home.start("serve", "serve", "--port", "0", "--workers", "none")
        eventually(lambda: "token show local" in home.said("serve"), WITHIN_S, lambda: home.said("serve"))
        link = next(word for word in home.said("serve").split() if "#key=" in word and "127.0.0.1" in word)
        watched = Watched.open(browser, link.partition("/login")[0])
        watched.page.goto(link)
        watched.page.wait_for_selector("nav a")
        login = dict(watched.page.context.storage_state())
        watched.page.context.close()
        yield Lived(home=home, address=watched.address, login=login)
    finally:
        home.close()
