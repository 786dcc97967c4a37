"""One Chromium for the tests of a module, and a home that is served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.web.lived import SLOW, Lived
from tests.browser import CHROMIUM
from tests.home import Home


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
        yield Lived.served(home, browser)
    finally:
        home.close()
