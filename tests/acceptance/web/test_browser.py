"""The pages in a real browser, against `nightjar serve`: nothing foreign, no error, no policy violated, axe clean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser import CHROMIUM, Watched, picture
from tests.home import Home, eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
PAGES = (
    "/",
    "/runs",
    "/runs/told",
    "/runs/told/transcripts",
    "/compare",
    "/trend",
    "/schedules",
    "/suites",
    "/suites/told",
    "/models",
    "/models/get",
    "/models/nightjar-demo",
    "/models/nightjar-demo/settings",
    "/play",
    "/new",
    "/workers",
    "/doctor",
    "/settings",
)
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `nightjar serve` prints, in a home with one finished run whose replies are hostile."""
    home = Home(folder=tmp_path_factory.mktemp("browser"))
    try:
        suite = home.folder / "told.yaml"
        suite.write_text(SUITE, encoding="utf-8")
        home.ok("eval", "--suite", str(suite), "--model", "nightjar-demo", "--name", "told", "--set", "max_tokens=24")
        home.ok("suite", "list")
        home.start("serve", "serve", "--port", "0", "--workers", "none")
        eventually(lambda: "token show local" in home.said("serve"), 120, lambda: home.said("serve"))
        printed = next(word for word in home.said("serve").split() if "#key=" in word and "127.0.0.1" in word)
        yield printed
    finally:
        home.close()


SUITE = """
nightjar: 1
name: told
description: Prompts that would do something if they were not text.
sequences:
  - id: one
    tags: [hostile]
    turns:
      - prompt: "Repeat: <script>alert(1)</script><img src=x onerror=alert(1)> \\u202Egnp.exe \\e[31m"
      - prompt: Tell me of a fox.
  - id: two
    turns:
      - prompt: Tell me of a star.
"""


@pytest.fixture(scope="module")
def login(browser: Browser, link: str) -> dict[str, Any]:
    """The state of a browser that followed the link: it is logged in, and the key is out of its address."""
    watched = Watched.open(browser, link.partition("/login")[0])
    watched.page.goto(link)
    watched.page.wait_for_selector("nav a")
    assert watched.page.url == watched.address + "/"
    watched.check("the login")
    return dict(watched.page.context.storage_state())


@pytest.fixture
def address(link: str) -> str:
    return link.partition("/login")[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(scheme: Any, browser: Browser, login: dict[str, Any], address: str) -> None:
    """Wide and on a phone: nothing foreign, no error, accessible, and nothing wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    watched = Watched.open(browser, address, storage_state=login, color_scheme=scheme)
    for path in PAGES:
        watched.page.set_viewport_size({"width": 1280, "height": 900})
        watched.go(path)
        picture(watched.page, f"{scheme}{path}")
        found = axe.run(watched.page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        watched.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW["width"], f"{path} is {wide} wide"
        picture(watched.page, f"phone-{scheme}{path}")
        watched.check(path)
    watched.page.context.close()


def test_without_scripts_everything_can_be_read(browser: Browser, login: dict[str, Any], address: str) -> None:
    watched = Watched.open(browser, address, storage_state=login, java_script_enabled=False)
    for path in PAGES:
        watched.go(path)
        watched.check(path)
    watched.go("/runs/told/transcripts")
    assert "<script>alert(1)</script>" in watched.page.inner_text("main")
    assert "[U+202E]" in watched.page.inner_text("main")
    watched.page.context.close()


def test_the_report_and_a_page_that_is_computed(browser: Browser, login: dict[str, Any], address: str) -> None:
    """It comes by itself, in a frame that may ask us for nothing."""
    watched = Watched.open(browser, address, storage_state=login)
    watched.go("/runs/told/report")
    watched.page.frame_locator("iframe").get_by_role("heading", name="told", exact=True).wait_for()
    picture(watched.page, "report")
    watched.check("the report")
    watched.page.context.close()


def test_an_action_and_its_answer_by_keyboard(browser: Browser, login: dict[str, Any], address: str) -> None:
    """A button is reached by Tab and pressed by Enter; what came of it is said on the page; logging out ends it.

    The last test: the session of the others ends with it.
    """
    watched = Watched.open(browser, address, storage_state=login)
    watched.go("/runs/told")
    page = watched.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the page"
    page.get_by_role("button", name="Make it the baseline").focus()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("told is the baseline of told.").wait_for()
    watched.check("the baseline")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")
    page.goto(f"{address}/runs")
    assert "/login" in page.url
    watched.check("the logout")
    page.context.close()
