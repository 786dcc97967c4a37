"""What is pressed in the pages, with replies that are hostile and come from a real model through the real routes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, TimeoutError
from pydantic import SecretStr

from nightjar.jobs.console_lines import publish_lines
from nightjar.jobs.queue import Doorbell
from nightjar.workers.library.registry import read_registry
from tests.acceptance.web.lived import WITHIN_S, Lived
from tests.acceptance.web.test_commands import typed
from tests.browser import CHROMIUM, Watched, picture
from tests.demo_engine import DEMO
from tests.home import Home, eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")

HOSTILE = "<img src=/x onerror='document.title=1'><script>document.title=1</script><b hx-get='/x'>{{7*7}}${7*7}</b>"
WRITTEN = "^" + re.sub(r"([.*+?()\[\]{}|^$\\])", r"\\\1", HOSTILE) + "[a-z ]{1500}"
"""A reply that begins so and goes on for a while."""
REGISTRY = f"""
[nightjar-demo]
path = {json.dumps(str(DEMO))}

[short]
path = {json.dumps(str(DEMO))}
[short.parameters]
max_tokens = 20

[hostile]
path = {json.dumps(str(DEMO))}
[hostile.parameters]
max_tokens = 1900
json_schema = {{ type = "string", pattern = {json.dumps(WRITTEN)} }}
"""
SUITE = """nightjar: 1
name: told
description: A description.
sequences:
  - id: one
    turns: [{ prompt: Tell me of a fox. }]
"""
PASSWORD = "a long enough one"
SENT_ON = re.compile(r"/login\?next=")
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def lived(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """With a model whose replies are hostile, and one that is brief."""
    folder = tmp_path_factory.mktemp("pressed")
    home = Home(folder=folder, environment={"NIGHTJAR_MODELS_FILE": str(folder / "models.toml")})
    try:
        (folder / "models.toml").write_text(REGISTRY)
        (folder / "told.yaml").write_text(SUITE)
        home.ok("services", "up")
        for model in ("hostile", "short"):
            home.start(model, "worker", "--model", model, "--gpu", "none", "--slots", "3", "--live", "2")
        lived = Lived.served(home, browser)
        said = lambda: home.said("hostile") + home.said("short")  # noqa: E731
        eventually(lambda: len(home.find("workers", state="ready")) == 2, WITHIN_S, said)
        yield lived
    finally:
        home.close()


def told(page: Page, words: str | re.Pattern[str]) -> None:
    page.get_by_role("status").get_by_text(words).wait_for()


def accept(dialog: Dialog) -> None:
    dialog.accept()


def only_text(page: Page, place: str) -> None:
    found = page.locator(place).first
    eventually(lambda: HOSTILE in (found.text_content() or ""), WITHIN_S, lambda: found.text_content() or "")
    assert found.locator("img, script, b").count() == 0, place
    assert page.title() != "1"


def test_the_demo_is_started_and_all_is_paused(browser: Browser, lived: Lived) -> None:
    watched = lived.open(browser)
    page = watched.page
    watched.go("/")
    page.get_by_role("button", name="Start the demo").click()
    page.wait_for_url("**/runs/demo")
    watched.go("/")
    page.once("dialog", accept)
    page.get_by_role("button", name="Pause all").click()
    told(page, "Paused: 1 run.")
    page.get_by_role("row", name="demo").get_by_role("cell", name="PAUSED", exact=True).first.wait_for()
    assert [run["status"] for run in lived.home.find("runs", name="demo")] == ["PAUSED"]
    watched.check("the demo")
    page.context.close()


def test_models_side_by_side_are_stopped_by_one_button(browser: Browser, lived: Lived) -> None:
    """One has ended and keeps its reply; what the other wrote stays, as text, and its job ends at once."""
    watched = lived.open(browser)
    page = watched.page
    watched.go("/play?model=hostile&model=short")
    for model in ("hostile", "short"):
        assert page.get_by_role("checkbox", name=model).is_checked()
    stop = page.get_by_role("button", name="Stop")
    assert stop.is_disabled()
    page.get_by_label("Prompt", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Ask").focus()
    page.keyboard.press("Enter")
    hostile, short = (page.get_by_role("region", name=name) for name in ("hostile, 1", "short, 2"))
    short.get_by_text("tokens/s").wait_for()
    only_text(page, "#columns section:first-child .talk .reply")
    picture(page, "side-by-side")
    stop.click()
    hostile.get_by_text("stopped", exact=True).wait_for()
    assert stop.is_disabled()
    [live] = lived.home.find("jobs", model="hostile")
    eventually(lambda: lived.home.find("jobs", _id=live["_id"], status="CANCELLED"), WITHIN_S)
    assert "tokens/s" in short.inner_text()
    only_text(page, "#columns .prompt")
    hostile.get_by_role("button", name="Rendered prompt").click()
    only_text(page, "#columns section:first-child pre")
    hostile.get_by_role("button", name="Branch").click()
    only_text(page, "#columns section:nth-of-type(3) .reply")
    hostile.get_by_role("button", name="Keep", exact=True).click()
    hostile.get_by_label("Sequence").fill("kept")
    hostile.get_by_role("button", name="Keep it").click()
    told(page, "Kept as kept of playground, version 1.")
    watched.go("/suites/playground")
    page.get_by_text("onerror").first.wait_for()
    assert page.locator("main img, main b[hx-get]").count() == 0
    watched.check("the playground")
    page.context.close()


def watching(watched: Watched, run: str) -> bool:
    """Opens the text of a reply that is being written; false where it had ended before anything of it came."""
    watched.go(run)
    watched.page.locator("#writing a").first.click()
    watched.page.wait_for_url("**watch=*")
    with contextlib.suppress(TimeoutError):
        watched.page.locator("#watched .reply").get_by_text(HOSTILE[:10]).first.wait_for(timeout=5_000)
        return True
    return False


def test_a_suite_is_uploaded_its_run_watched_and_labelled(browser: Browser, lived: Lived) -> None:
    """The watched text and the transcript are hostile, and text."""
    watched = lived.open(browser)
    page = watched.page
    watched.go("/suites")
    wrong = {"name": "told.yaml", "mimeType": "application/yaml", "buffer": SUITE.replace("prompt", "promt").encode()}
    page.locator("#upload input[type=file]").set_input_files(wrong)  # type: ignore[arg-type]
    page.get_by_role("button", name="Import it").click()
    told(page, re.compile("told.yaml, line 6"))
    page.locator("#upload input[type=file]").set_input_files(lived.home.folder / "told.yaml")
    page.get_by_role("button", name="Import it").click()
    told(page, "Imported told, version 1: 1 sequence.")
    page.get_by_role("link", name="told").wait_for()
    lived.home.ok("enqueue", "--suite", "told", "--model", "hostile", "--name", "told", "--repeats", "8")
    eventually(lambda: watching(watched, "/runs/told"), WITHIN_S)
    only_text(page, "#watched .reply")
    picture(page, "hostile-watched")
    eventually(lambda: lived.home.find("runs", name="told", status="DONE"), WITHIN_S)
    watched.go("/runs/told/transcripts")
    only_text(page, "article.talk .reply")
    label = page.locator("article.talk").first.get_by_label("Label")
    label.fill("odd")
    label.press("Enter")
    page.locator("article.talk h2 .tag", has_text="odd").first.wait_for()
    for path in ("/runs/told", "/search?q=onerror", "/duplicates", "/runs/told/report", "/trend/told"):
        watched.go(path)
        page.get_by_text("being computed").first.wait_for(state="hidden")
        assert page.locator("main img, main b[hx-get]").count() == 0, path
        assert page.title() != "1"
    [bad] = [each for each in watched.wrong if "400" in each]  # what a browser says of the file that was refused
    watched.wrong.remove(bad)
    watched.check("the suite")
    page.context.close()


def test_the_console_is_copied(browser: Browser, lived: Lived) -> None:
    """What llama.cpp says came through Redis; it is text in the page and on the clipboard."""
    watched = lived.open(browser, permissions=["clipboard-read", "clipboard-write"])
    page = watched.page
    watched.go("/")
    page.wait_for_selector("body[data-events=open]")

    async def say() -> None:
        doorbell = await Doorbell.connect(SecretStr(lived.home.url("redis")))
        await publish_lines(doorbell, HOSTILE, [("warning", HOSTILE)])
        await doorbell.close()

    with ThreadPoolExecutor() as pool:  # playwright has this thread's event loop
        pool.submit(asyncio.run, say()).result(WITHIN_S)
    lines = page.locator("#console-lines")
    lines.locator("div", has_text="onerror").first.wait_for()
    assert lines.locator("img, script, b").count() == 0
    page.get_by_label("Filter").fill("document.title")
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "onerror='document.title=1'" in copied
    assert all("document.title" in line for line in copied.splitlines())
    assert page.title() != "1"
    watched.check("the console")
    page.context.close()


def test_settings_are_saved_and_a_model_asked_for_by_keyboard(browser: Browser, lived: Lived) -> None:
    """What would change is shown before it is saved; the model is wanted from then on."""
    watched = lived.open(browser)
    page = watched.page
    watched.go("/models/nightjar-demo/settings")
    page.get_by_label("Context (tokens)").focus()
    page.keyboard.type("512")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "slots"
    page.keyboard.press("Enter")
    save = page.get_by_role("button", name="Save it")
    save.wait_for()
    page.get_by_role("row", name="Context (tokens)").get_by_text("512").wait_for()
    picture(page, "settings-checked")
    save.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/nightjar-demo")
    registry = read_registry(Path(lived.home.environment["NIGHTJAR_MODELS_FILE"]))
    assert registry.models["nightjar-demo"].load == {"context": 512}
    page.get_by_role("button", name="Load", exact=True).focus()
    page.keyboard.press("Enter")
    told(page, re.compile("nightjar-demo"))
    assert lived.home.find("wanted_models", _id="nightjar-demo")
    watched.check("the settings")
    page.context.close()


REACHED = """() => {
  const wanted = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const shown = [...document.querySelectorAll(wanted)].filter((each) => !each.disabled && each.checkVisibility());
  return shown.filter((each) => !window.reached.has(each)).map((each) => each.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/runs/told", "/runs/told/transcripts", "/new", "/play", "/models/short"]
)
def test_everything_is_reached_by_tab(path: str, browser: Browser, lived: Lived) -> None:
    """Nothing holds the focus, and what has it shows it."""
    watched = lived.open(browser)
    page = watched.page
    watched.go(path)
    page.evaluate("window.reached = new Set()")
    for _ in range(400):
        page.keyboard.press("Tab")
        again = page.evaluate(
            """() => { const at = document.activeElement, was = window.reached.has(at) || at === document.body;
                window.reached.add(at); return was; }"""
        )
        if again:
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    assert page.evaluate(REACHED) == []
    watched.check(path)
    page.context.close()


def test_a_password_logs_in(browser: Browser, lived: Lived) -> None:
    """By keyboard, back to where one was sent from; wide, narrow, and after a wrong one. The last test: the sessions of
    the others have ended.
    """
    from axe_playwright_python.sync_playwright import Axe

    def looked_at(name: str) -> None:
        assert Axe().run(page).violations_count == 0, name
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
        picture(page, f"phone-{name}")

    watched = Watched.open(browser, lived.address)
    page = watched.page
    watched.go("/login")
    page.get_by_label("One-time key").wait_for()
    looked_at("login-key")
    added = typed(lived.home, f"{PASSWORD}\n", "user", "add", "ann", "--role", "admin", "--stdin")
    assert added.returncode == 0, added.stderr
    page.goto(f"{lived.address}/runs?q=told")
    page.wait_for_url(SENT_ON)
    looked_at("login-password")
    for password in ("another one", PASSWORD):
        assert page.evaluate("document.activeElement.name") == "name"
        page.keyboard.type("ann")
        page.keyboard.press("Tab")
        page.keyboard.type(password)
        page.keyboard.press("Enter")
        if password != PASSWORD:
            page.get_by_text("Name or password is wrong.").wait_for()
            looked_at("login-wrong")
    page.wait_for_url("**/runs?q=told")
    page.get_by_role("link", name="told").first.wait_for()
    page.get_by_text("ann", exact=True).wait_for()
    watched.wrong = [each for each in watched.wrong if "403" not in each]  # what a browser says of a wrong one
    watched.check("the login")
    page.context.close()
    earlier = lived.open(browser)
    earlier.page.goto(f"{lived.address}/runs")
    earlier.page.wait_for_url(SENT_ON)
    earlier.page.context.close()
