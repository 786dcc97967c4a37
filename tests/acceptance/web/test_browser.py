"""The pages in a real browser, against `nightjar serve`: nothing foreign, no error, no policy violated, axe clean."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import CHROMIUM, Watched, picture
from tests.home import Home, eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
PAGES = (
    "/",
    "/runs",
    "/runs/told",
    "/runs/told/transcripts",
    "/runs/told/report",
    "/runs/told/export",
    "/compare",
    "/compare?base=told&other=told",
    "/trend",
    "/trend/told",
    "/schedules",
    "/schedules/nightly",
    "/costs",
    "/costs?days=7",
    "/policies/alias:fox",
    "/suites",
    "/suites/told",
    "/models",
    "/models/get",
    "/models/nightjar-demo",
    "/models/nightjar-demo/settings",
    "/play",
    "/search",
    "/duplicates",
    "/search?q=fox",
    "/new",
    "/new?suite=told&model=nightjar-demo&repeats=2&name=second",
    "/login",
    "/workers",
    "/doctor",
    "/doctor/cleanup",
    "/settings",
)
GIB = 2**30
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(folder=tmp_path_factory.mktemp("browser"))
    yield home
    home.close()


@pytest.fixture(scope="module")
def link(home: Home) -> str:
    """What `nightjar serve` prints, in a home with a schedule and one finished run whose prompts are hostile."""
    suite = home.folder / "told.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    home.ok("eval", "--suite", str(suite), "--model", "nightjar-demo", "--name", "told", "--set", "max_tokens=24")
    home.ok("suite", "list")
    home.ok("router", "alias", "fox", "nightjar-demo")
    home.ok("schedule", "add", "nightly", "--cron", "0 2 * * *", "--suite", "told", "--model", "nightjar-demo")
    home.start("serve", "serve", "--port", "0", "--workers", "none")
    eventually(lambda: "token show local" in home.said("serve"), 120, lambda: home.said("serve"))
    return next(word for word in home.said("serve").split() if "#key=" in word and "127.0.0.1" in word)


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
        watched.page.get_by_text("being computed").first.wait_for(state="hidden")
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


def test_a_conversation_as_it_was_sent(browser: Browser, login: dict[str, Any], address: str) -> None:
    """With the marks of the model's template, rendered by a command beside; what a prompt holds stays text."""
    watched = Watched.open(browser, address, storage_state=login, viewport=NARROW)
    watched.go("/runs/told/transcripts?sequence=one")
    watched.page.get_by_role("link", name="As it was sent").first.click()
    watched.page.locator(".raw .prompt", has_text="<|im_start|>").first.wait_for()
    assert "<script>alert(1)</script>" in watched.page.inner_text("#raw")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    picture(watched.page, "job")
    watched.check("a conversation as it was sent")
    watched.page.context.close()


def test_the_report_and_a_page_that_is_computed(browser: Browser, login: dict[str, Any], address: str) -> None:
    """It comes by itself, in a frame that may ask us for nothing."""
    watched = Watched.open(browser, address, storage_state=login)
    watched.go("/runs/told/report")
    watched.page.frame_locator("iframe").get_by_role("heading", name="told", exact=True).wait_for()
    picture(watched.page, "report")
    watched.check("the report")
    watched.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_machines_over_time_and_cleanup(
    scheme: Any, browser: Browser, login: dict[str, Any], address: str, home: Home
) -> None:
    """Charts come by themselves, with a gap where nothing is known; what would be cleared comes before its button."""
    from axe_playwright_python.sync_playwright import Axe

    home.insert("machine_readings", readings())
    watched = Watched.open(browser, address, storage_state=login, color_scheme=scheme)
    page = watched.page
    for path, there in (("/workers", "#machines-section figure:nth-of-type(6) svg"), ("/doctor/cleanup", "#preview")):
        page.set_viewport_size({"width": 1280, "height": 900})
        watched.go(path)
        page.locator(there).first.wait_for()
        picture(page, f"{scheme}-there{path}")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW["width"], f"{path} is {wide} wide"
        picture(page, f"phone-{scheme}-there{path}")
        watched.check(path)
    watched.go("/workers?hours=168")
    page.locator("#machines-section svg").first.wait_for()
    assert page.locator("#machines-section figure").count() == 6
    assert page.get_by_role("img", name="GPU use. gpu-host, GPU 0: between").is_visible()
    watched.check("/workers?hours=168")
    page.context.close()


def readings() -> list[dict[str, Any]]:
    """Of a day on a host with two cards, one of which does not say its power; for two hours nothing is known."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = []
    for ago in (*range(1440, 600, -1), *range(480, 0, -1)):
        wave = (1 + math.sin(ago / 90)) / 2
        gpus = [
            {"index": "0", "name": "A card", "use": wave, "memory_bytes": 24 * GIB, "memory_used_bytes": 9 * GIB}
            | {"temperature_c": 40 + 30 * wave, "power_w": 60 + 240 * wave},
            {"index": "1", "name": "A card", "use": 0.0, "memory_bytes": 24 * GIB, "memory_used_bytes": GIB}
            | {"temperature_c": 33.0, "power_w": None},
        ]
        minute = now - timedelta(minutes=ago)
        row = {"_id": f"gpu-host {minute}", "host": "gpu-host", "at": minute, "gpus": gpus}
        row |= {"memory_bytes": 64 * GIB, "memory_used_bytes": int((20 + 10 * wave) * GIB)}
        rows.append(row | {"disk_bytes": 900 * GIB, "disk_used_bytes": (500 - ago // 10) * GIB})
    return rows


def test_hostile_replies_and_lines_stay_text(browser: Browser, login: dict[str, Any], address: str) -> None:
    """In the playground, the watched text and the console, which scripts fill: nothing is made of it but text."""
    watched = Watched.open(browser, address, storage_state=login)
    page = watched.page
    said = [{"index": 0, "job": "j", "seed": 5}]
    said += [{"index": 0, "part": part, "text": HOSTILE} for part in ("reasoning", "reply")]
    said += [{"index": 0, "error": HOSTILE}]
    answer = "".join(f"data: {json.dumps(each)}\n\n" for each in said)
    page.route("**/play/ask", lambda route: route.fulfill(body=answer, content_type="text/event-stream"))
    page.route("**/apply-template", lambda route: route.fulfill(json={"prompt": HOSTILE}))
    page.route("**/play/keep", lambda route: route.fulfill(json={"said": HOSTILE}))
    watched.go("/play")
    page.get_by_label("Prompt", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Rendered prompt").click()
    page.locator("#columns pre").wait_for()
    page.get_by_role("button", name="Branch").click()
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    page.locator("#said .info", has_text="onerror").wait_for()
    shown = (".prompt", ".reasoning .text", ".reply", ".facts", "pre", "section:nth-of-type(2) .reply")
    _only_text(page, [*(f"#columns {each}" for each in shown), "#said p"])

    watched.go("/runs/told/transcripts")
    job = str(page.locator("article.talk").first.get_attribute("id"))[1:]
    parts = [{"fence": 1, "turn": 1, "part": part, "offset": 0, "text": HOSTILE} for part in ("reasoning", "reply")]
    stream = "".join(f"event: text\ndata: {json.dumps(part)}\n\n" for part in parts) + "event: ended\ndata: {}\n\n"
    page.route("**/text", lambda route: route.fulfill(body=stream, content_type="text/event-stream"))
    watched.go(f"/runs/told?watch={job}")
    page.get_by_text("The turn is complete").wait_for()
    _only_text(page, ["#watched .reasoning .text", "#watched .reply"])

    line = {"at": 0, "worker": HOSTILE, "level": HOSTILE, "text": HOSTILE}
    moved = {"kind": HOSTILE, "at": 0, "run": HOSTILE, "model": HOSTILE, "job": HOSTILE, "worker": HOSTILE}
    page.route("**/events/recent", lambda route: route.fulfill(json={"moved": [moved], "lines": [line]}))
    watched.go("/")
    page.locator("#console-lines div").nth(1).wait_for()
    with page.expect_event("console", lambda message: message.text == "told"):
        page.evaluate(
            """told => { document.addEventListener("nightjar-heard", () => console.log("told"), { once: true });
                new BroadcastChannel("nightjar-events").postMessage(told); }""",
            {"moved": [moved], "lines": [line]},
        )
    _only_text(page, [f"#console-lines div:nth-child({number})" for number in range(1, 5)])
    watched.check("hostile texts")
    page.context.close()


HOSTILE = "<img src=/x onerror='document.title=1'><script>document.title=1</script><b hx-get='/x'>{{7*7}}${7*7}</b>"


def _only_text(page: Page, places: list[str]) -> None:
    for place in places:
        found = page.locator(place).first
        assert HOSTILE in (found.text_content() or ""), place
        assert found.locator("*").count() == 0, place
    assert page.title() != "1"


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
