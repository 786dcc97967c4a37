"""A day's work in the browser alone: two runs are made, watched, paused and compared; a model is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.web.lived import WITHIN_S, Lived, start_worker
from tests.browser import CHROMIUM, picture
from tests.gguf_files import write_llama
from tests.home import Home, eventually
from tests.hub import Faults, LocalHub, Repository

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")

REPO, FILE, NAME = "acme/Story-1B-GGUF", "story-1b-Q4_K_M.gguf", "story-1b"
HALF = 200_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """It stands still after some of a file, until it is told to go on."""
    server = LocalHub()
    content = write_llama(tmp_path_factory.mktemp("hub") / "made.gguf", vocab=2000).read_bytes()
    server.repositories[REPO] = Repository(files={FILE: content, "README.md": b"# Story"})
    server.faults = Faults(stall_after=HALF)
    with server.running():
        yield server


@pytest.fixture(scope="module")
def lived(browser: Browser, hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """A home whose hub is that one."""
    folder = tmp_path_factory.mktemp("work")
    home = Home(
        folder=folder,
        environment={"NIGHTJAR_HF_ENDPOINT": hub.endpoint, "NIGHTJAR_MODELS_DIR": str(folder / "models")},
    )
    try:
        home.ok("services", "up")
        yield Lived.served(home, browser)
    finally:
        home.close()


def make_run(page: Page, lived: Lived, name: str, repeats: int) -> None:
    page.goto(f"{lived.address}/new")
    page.locator("select[name=suite]").select_option("story-starters")
    page.get_by_label("Models and policies").select_option("nightjar-demo")
    page.get_by_label("At most so many sequences").fill("4")
    page.locator("input[name=repeats]").fill(str(repeats))
    page.get_by_label("Name (optional)").fill(name)
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("What would come of it").wait_for()
    page.get_by_role("button", name="Make the run").click()
    page.wait_for_url(f"**/runs/{name}")


def test_two_runs_are_made_watched_paused_and_compared(browser: Browser, lived: Lived) -> None:
    start_worker(lived.home)
    lived.home.start("dispatcher", "dispatcher")
    watched = lived.open(browser)
    page = watched.page
    make_run(page, lived, "first", repeats=24)
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("status").get_by_text("first is paused.").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("status").get_by_text("first goes on.").wait_for()
    watched.check("a run that goes on")
    page.get_by_role("link", name="Report").first.wait_for()  # it comes by itself, when the run has ended
    picture(page, "ended")
    make_run(page, lived, "second", repeats=1)
    page.get_by_role("link", name="Report").first.wait_for()
    page.goto(f"{lived.address}/compare")
    page.get_by_label("Base").select_option("first")
    page.get_by_label("Other").select_option("second")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name=re.compile(r"against .*first")).wait_for()
    picture(page, "compared")
    watched.check("the comparison")
    page.context.close()


def test_a_pull_goes_on_while_the_page_is_left(browser: Browser, lived: Lived, hub: LocalHub) -> None:
    watched = lived.open(browser)
    page = watched.page
    watched.go("/models/get?q=story")
    page.locator("select[name=source]").wait_for()  # the hub has answered
    page.get_by_label("Repository (OWNER/NAME)").select_option(REPO)
    page.get_by_role("button", name="Fetch it").last.click()
    page.get_by_role("status").get_by_text(f"{NAME} is being fetched.").wait_for()
    page.get_by_role("heading", name=f"{NAME}: running").wait_for()
    page.get_by_role("progressbar").wait_for()
    picture(page, "pulling")
    watched.go("/")
    hub.faults = Faults()
    hub.go_on.set()
    eventually((lived.home.folder / "models" / NAME / FILE).is_file, WITHIN_S)
    watched.go("/models/get")
    page.get_by_text("It is here.").wait_for()
    page.get_by_role("link", name=NAME, exact=True).first.click()
    page.wait_for_url(f"**/models/{NAME}")
    watched.check("the model")
    page.context.close()
