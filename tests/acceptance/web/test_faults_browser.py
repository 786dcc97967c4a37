"""What a page in a browser does while something is missing: shared workers, Redis, MongoDB, and at last the server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request

from tests.acceptance.web.lived import WITHIN_S, Lived, start_worker
from tests.browser import CHROMIUM, Watched
from tests.home import eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
OPEN, AWAY = "body[data-events=open]", "body[data-events=away]"
LEAVES_S = 30.0
"""On a busy machine; a server that waited for its streams would wait forever."""
HEAR = """() => {
  window.heard = [];
  new BroadcastChannel("nightjar-events").onmessage = (message) => window.heard.push(JSON.stringify(message.data));
}"""


def hears(page: Page, words: str) -> None:
    """Waits until the page was told so, since it began to listen."""
    eventually(lambda: words in str(page.evaluate("window.heard.join('\\n')")), WITHIN_S)


def test_without_shared_workers_one_tab_holds_the_stream(browser: Browser, lived: Lived) -> None:
    """It tells the others; when it is closed another takes over, and all read what they may have missed."""
    first = lived.open(browser)
    context = first.page.context
    context.add_init_script("delete globalThis.SharedWorker")
    streams: list[Page] = []

    def note(request: Request) -> None:
        if request.url.split("?")[0].endswith("/events"):
            streams.append(request.frame.page)

    context.on("request", note)
    first.go("/workers")
    others = [Watched.beside(first) for _ in range(2)]
    for tab in others:
        tab.go("/runs")
    for tab in (first, *others):
        tab.page.wait_for_selector(OPEN)
        assert tab.page.evaluate("typeof SharedWorker") == "undefined"
        tab.page.evaluate(HEAR)
    assert streams == [first.page]
    lived.home.ok("enqueue", "--suite", "slow", "--model", "nightjar-demo", "--name", "locked", "--limit", "1")
    for tab in others:
        hears(tab.page, "locked")
        tab.page.get_by_role("link", name="locked").wait_for()
    first.check("the tab that held it")
    first.page.close()
    for tab in others:
        hears(tab.page, '{"gap":true}')
    lived.home.ok("run", "cancel", "locked")
    for tab in others:
        tab.page.get_by_role("row", name="locked").get_by_text("CANCELLED").wait_for()
        tab.check("a tab that did not")
    assert len(streams) == 2
    context.close()


def test_redis_goes_and_comes_back(browser: Browser, lived: Lived) -> None:
    """While it does not answer the page asks by itself; killed, it is started again, and pages are told again."""
    watched = lived.open(browser)
    watched.go("/runs")
    page = watched.page
    page.wait_for_selector(OPEN)
    [server] = lived.home.servers("redis")
    server.suspend()
    page.wait_for_selector(AWAY)
    with page.expect_response("**/runs"):  # asked by itself
        pass
    server.kill()
    page.wait_for_selector(OPEN)
    assert [process.pid for process in lived.home.servers("redis")] != [server.pid]
    page.evaluate(HEAR)
    lived.home.ok("enqueue", "--suite", "slow", "--model", "nightjar-demo", "--name", "back", "--limit", "1")
    hears(page, "back")
    page.get_by_role("link", name="back").wait_for()
    lived.home.ok("run", "cancel", "back")
    watched.check("the runs without Redis")
    page.context.close()


def test_mongodb_is_away(browser: Browser, lived: Lived) -> None:
    """The page says so, and shows again what there is when it is back."""
    watched = lived.open(browser)
    watched.go("/runs")
    page = watched.page
    page.wait_for_selector(OPEN)
    before = page.locator("#runs-section table").inner_text()
    [server] = lived.home.servers("mongo")
    server.suspend()
    try:
        page.evaluate("nightjar.again(0)")
        page.get_by_text("MongoDB cannot be reached").wait_for()
    finally:
        server.resume()
    page.locator("#runs-section table").wait_for()
    assert page.locator("#runs-section table").inner_text() == before
    page.evaluate("nightjar.again(0)")
    page.wait_for_selector(OPEN)
    wrong = [each for each in watched.wrong if "503" not in each]  # what a browser says of such an answer
    assert wrong == []
    page.context.close()


@contextlib.contextmanager
def streaming(lived: Lived, method: str, path: str, **asked: Any) -> Iterator[list[str]]:
    """Lines of a stream that has begun; the list grows until the stream is over."""
    lines: list[str] = []
    begun = threading.Event()

    def read() -> None:
        with (
            httpx.Client(base_url=lived.address, timeout=WITHIN_S) as client,
            client.stream(method, path, headers={"authorization": f"Bearer {lived.token}"}, **asked) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                lines.append(line)
                begun.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(WITHIN_S)
    yield lines
    thread.join(WITHIN_S)
    assert not thread.is_alive(), "the stream did not end"


def test_sigterm_ends_every_stream(browser: Browser, lived: Lived) -> None:
    """A browser's, events, and a reply under way: each is told, none is waited for. The last test: the server ends."""
    start_worker(lived.home)
    watched = lived.open(browser)
    watched.go("/workers")
    watched.page.wait_for_selector(OPEN)
    endless = {"json_schema": {"type": "string", "minLength": 4000}, "max_tokens": 1900, "stream": True}
    asked = {"model": "nightjar-demo", "messages": [{"role": "user", "content": "Go on"}], **endless}
    with (
        streaming(lived, "GET", "/events") as events,
        streaming(lived, "POST", "/v1/chat/completions", json=asked) as reply,
    ):
        eventually(lambda: len(reply) > 10, WITHIN_S)
        began = time.monotonic()
        lived.home.running["serve"].terminate()
        assert lived.home.running["serve"].wait(WITHIN_S) == 0
        left_s = time.monotonic() - began
    assert left_s < LEAVES_S
    assert "event: closing" in events
    last = [line.removeprefix("data: ") for line in reply if line][-1]
    assert "ending" in json.loads(last)["error"]["message"]
    watched.page.wait_for_selector(AWAY)
    watched.page.context.close()
