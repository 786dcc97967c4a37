"""What is alive in the browser: one stream for all tabs, the console, a watched text, the playground."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from tests.acceptance.web.lived import WITHIN_S, Lived, start_worker
from tests.browser import CHROMIUM, Watched, picture
from tests.home import eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")


def test_seven_visible_tabs_and_the_console(browser: Browser, lived: Lived) -> None:
    """All of them are told by one stream: with one a tab, a browser's six connections would be used up.

    What the console shows comes from the worker as it loads; it can be filtered, held, and copied.
    """
    first = lived.open(browser)
    first.go("/")
    tabs = [first, *(Watched.beside(first) for _ in range(6))]
    for tab in tabs[1:]:
        tab.go("/workers")
    for tab in tabs:
        tab.page.wait_for_selector("body[data-events=open]")
        assert tab.page.evaluate("document.hidden") is False
    start_worker(lived.home)
    for tab in tabs[1:]:
        tab.page.get_by_role("cell", name="nightjar-demo").first.wait_for()
    lines = first.page.locator("#console-lines")
    lines.get_by_text("llama.cpp").first.wait_for()
    lines.get_by_text("worker  nightjar-demo").first.wait_for()
    assert str(lived.home.path) not in lines.inner_text()  # no folder
    first.page.get_by_label("Filter").fill("worker  nightjar")
    assert lines.get_by_text("llama.cpp").count() == 0
    first.page.get_by_role("button", name="Pause", exact=True).click()
    lived.home.ok("enqueue", "--suite", "slow", "--model", "nightjar-demo", "--name", "held", "--limit", "1")
    first.page.get_by_role("button", name="Go on (").wait_for()
    first.page.get_by_role("button", name="Go on").click()
    first.page.get_by_label("Filter").fill("held")
    lines.get_by_text("run  held").first.wait_for()
    picture(first.page, "console")
    first.page.get_by_role("link", name="held").first.wait_for()  # the page itself, too
    for tab in tabs:
        tab.check(tab.page.url)
    first.page.context.close()


def test_nothing_moves_under_a_pressed_button(browser: Browser, lived: Lived) -> None:
    """The page is read again once the button is let go, or has been held for a second."""
    watched = lived.open(browser)
    watched.go("/")
    page = watched.page
    page.wait_for_selector("body[data-events=open]")
    page.wait_for_timeout(1500)  # it was read again for what moved until now
    heading = page.get_by_role("heading", level=1).bounding_box()
    assert heading is not None
    page.mouse.move(heading["x"] + 5, heading["y"] + 5)
    read: list[str] = []
    page.on("request", lambda request: read.append(request.url))

    def soon_read() -> list[str]:
        page.wait_for_timeout(50)
        return read

    page.mouse.down()
    page.evaluate("nightjar.again(0)")
    page.wait_for_timeout(400)
    assert read == []
    page.mouse.up()
    eventually(soon_read, WITHIN_S)
    page.wait_for_timeout(1200)
    read.clear()
    page.mouse.down()
    page.evaluate("nightjar.again(0)")
    eventually(soon_read, WITHIN_S)
    page.mouse.up()
    watched.check("the page that was held")
    page.context.close()


def test_an_answer_that_takes_its_time_arrives(browser: Browser, lived: Lived) -> None:
    """A page that no longer moves loads itself anew: not before a button has its answer, which would be lost."""
    lived.home.ok("enqueue", "--suite", "slow", "--model", "nightjar-demo", "--name", "late", "--limit", "1")
    watched = lived.open(browser)
    watched.go("/runs/late")
    page = watched.page
    page.wait_for_selector("body[data-events=open]")
    pressed: list[bool] = []
    answered: list[bool] = []

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            pressed.append(True)
            for _ in range(5):
                page.evaluate("nightjar.again(0)")
                page.wait_for_timeout(500)
            answered.append(True)
        elif not answered:
            while not pressed:  # asked for before the button is pressed, it is there after that
                page.wait_for_timeout(50)
            route.fulfill(headers={"hx-refresh": "true"}, body="")
            return
        route.continue_()

    page.route("**/runs/late**", answer)
    page.evaluate("nightjar.again(0)")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("status").get_by_text("late is paused.").wait_for()
    page.unroute_all()
    lived.home.ok("run", "cancel", "late")
    watched.check("the run that was paused late")
    page.context.close()


def test_the_text_of_a_job_is_watched(browser: Browser, lived: Lived) -> None:
    """A run is started, watched and paused in the browser alone."""
    start_worker(lived.home)
    lived.home.start("dispatcher", "dispatcher")
    watched = lived.open(browser)
    watched.go("/new?suite=slow&model=nightjar-demo&name=seen")
    page = watched.page
    page.get_by_role("button", name="Make the run").click()
    page.wait_for_url("**/runs/seen")
    page.locator("#writing a").first.click()
    page.wait_for_url("**watch=*")
    eventually(lambda: len(page.locator("#watched .reply").text_content() or "") > 100, WITHIN_S)
    picture(page, "watched")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("status").get_by_text("seen is paused.").wait_for()
    page.get_by_role("button", name="Resume").wait_for()
    page.get_by_role("button", name="Cancel").wait_for()
    watched.check("the watched run")
    lived.home.ok("run", "cancel", "seen")
    page.context.close()


def test_the_playground(browser: Browser, lived: Lived) -> None:
    """The same seed says the same; a branch is a column of its own; the command that is copied can be pasted."""
    from axe_playwright_python.sync_playwright import Axe

    start_worker(lived.home)
    watched = lived.open(browser, permissions=["clipboard-read", "clipboard-write"])
    watched.go("/play")
    page = watched.page
    prompt = "Tell me about a fox called 'O\"Brien' & $HOME `id`."
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Most tokens").fill("40")
    page.get_by_role("button", name="Ask").click()
    column = page.get_by_role("region", name="nightjar-demo, 1")
    column.get_by_text("tokens/s").wait_for()
    assert "first text after" in column.inner_text()
    assert "seed" in column.inner_text()
    column.get_by_role("button", name="Again, same seed").click()
    column.get_by_text("tokens/s").nth(1).wait_for()
    replies = column.locator("article .reply").all_inner_texts()
    assert replies[0] == replies[1]
    assert replies[0]
    column.get_by_role("button", name="Rendered prompt").first.click()
    column.locator("pre").get_by_text("<|im_start|>user").wait_for()
    column.get_by_role("button", name="Copy curl").first.click()
    page.get_by_role("status").get_by_text("Copied.").wait_for()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words[:2] == ["curl", f"{lived.address}/v1/chat/completions"]
    assert words[3] == "Authorization: Bearer $OPENAI_API_KEY"
    assert json.loads(words[words.index("-d") + 1])["messages"] == [{"role": "user", "content": prompt}]
    column.get_by_role("button", name="Branch").first.click()
    page.get_by_role("region", name="nightjar-demo, 2").wait_for()
    column.get_by_role("button", name="Keep").first.click()
    column.get_by_label("Sequence").fill("kept")
    column.get_by_role("button", name="Keep it").click()
    page.get_by_role("status").get_by_text("Kept as kept of playground, version 1.").wait_for()
    picture(page, "playground")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    watched.check("the playground")
    page.context.close()


def test_the_playgrounds_memory(browser: Browser, lived: Lived) -> None:
    """Off, it is not named; on, the request and the command that is copied name it. This host has no model for it."""
    watched = lived.open(browser, permissions=["clipboard-read", "clipboard-write"])
    watched.go("/play")
    page = watched.page
    switch = page.get_by_label("Give facts of earlier conversations")
    assert switch.is_disabled()
    assert page.get_by_text("Not on this host").is_visible()
    asked: list[Any] = []

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(body='data: {"index": 0, "job": "j", "seed": 5}\n\ndata: {"index": 0, "error": "no"}\n\n')

    page.route("**/play/ask", answer)
    page.evaluate("document.querySelector('input[name=remember]').disabled = false")  # as on a host that has one
    page.get_by_label("Prompt", exact=True).fill("Go on")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Copy curl").wait_for()
    switch.check()
    page.get_by_label("Name of the memory").fill("notes")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Copy curl").nth(1).wait_for()
    assert [body.get("memory") for body in asked] == [None, "notes"]
    page.get_by_role("button", name="Copy curl").first.click()
    page.get_by_role("status").get_by_text("Copied.").wait_for()
    assert "nightjar-memory: notes" in shlex.split(page.evaluate("navigator.clipboard.readText()"))
    picture(page, "playground-memory")
    watched.check("the playground's memory")
    page.context.close()
