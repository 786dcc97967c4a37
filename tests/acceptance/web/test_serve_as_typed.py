"""`nightjar serve` with what runs beside it: one command in an empty home answers, and lets go when it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil

from tests.acceptance.web.lived import SLOW
from tests.home import Home, eventually

WITHIN_S = 120.0
GONE_S = 5.0
"""The page ends its streams within a second; this is for a machine that has much else to do."""
STORY = [{"role": "user", "content": "Tell me a story about a fox."}]
ENDLESS = {"json_schema": {"type": "string", "minLength": 4000}, "max_tokens": 1900, "stream": True}


def test_one_command_answers_beside_a_night_and_the_page_ends_before_the_worker(home: Home) -> None:
    """A chat has a slot while a run has all others; told to end, streams and port go at once, the worker drains."""
    with home.start_serve(within_s=WITHIN_S, workers="auto") as client:
        chats_beside_a_night(home, client)
        ends_at_once(home, client)


def chats_beside_a_night(home: Home, client: httpx.Client) -> None:
    chat = {"model": "nightjar-demo", "messages": STORY, "max_tokens": 8}
    first = client.post("/v1/chat/completions", json=chat)  # the worker loads what is asked for
    assert first.status_code == 200, first.text + beside(home)
    suite = home.folder / "slow.yaml"
    suite.write_text(SLOW + "".join(f"  - id: s{n}\n    turns: [{{ prompt: Go on }}]\n" for n in range(64)))
    home.ok("suite", "import", str(suite))
    home.ok("enqueue", "--suite", "slow", "--model", "nightjar-demo", "--name", "night")
    [night] = [run["_id"] for run in home.find("runs", name="night")]
    [worker] = home.find("workers", model="nightjar-demo")
    full = lambda: len(home.find("jobs", run=night, status="RUNNING")) >= worker["slots"] - 1  # noqa: E731
    eventually(full, WITHIN_S, lambda: beside(home))
    answered = client.post("/v1/chat/completions", json={**chat, "seed": 2})
    assert answered.status_code == 200, answered.text
    assert answered.json()["usage"]["completion_tokens"] == 8
    assert not home.find("jobs", run=night, status="DONE"), "it waited for a reply of the night"


def ends_at_once(home: Home, client: httpx.Client) -> None:
    with streaming(client, "GET", "/events") as events, streaming(client, "POST", "/v1/chat/completions") as reply:
        eventually(lambda: len(reply.lines) > 10 and events.lines, WITHIN_S, lambda: beside(home))
        serve, began = home.running["serve"], time.monotonic()
        children = psutil.Process(serve.pid).children(recursive=True)
        beside_it = [child for child in children if "nightjar" in child.cmdline()]
        assert len(beside_it) >= 3, "a dispatcher, a worker and its model's process"
        serve.terminate()
        for stream in (events, reply):
            assert stream.ended.wait(GONE_S), "a stream was still open"
        eventually(lambda: is_free(client.base_url.port), GONE_S - (time.monotonic() - began))
    assert "event: closing" in events.lines
    assert "ending" in json.loads(reply.lines[-1].removeprefix("data: "))["error"]["message"]
    assert serve.wait(WITHIN_S) == 0, home.said("serve")
    assert "The page is closed" in home.said("serve")
    assert not [child for child in beside_it if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not home.find("jobs", status="RUNNING")
    assert not home.find("jobs", tries={"$gt": 0}), "a job that was let go counted a try"


class Stream:
    """The lines of a stream as they come, and whether it has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended = threading.Event()


@contextlib.contextmanager
def streaming(client: httpx.Client, method: str, path: str) -> Iterator[Stream]:
    """A stream that a thread of its own reads until the server ends it."""
    stream = Stream()

    def read() -> None:
        body = None if method == "GET" else {"model": "nightjar-demo", "messages": STORY, **ENDLESS}
        with contextlib.suppress(httpx.HTTPError), client.stream(method, path, json=body) as answer:
            for line in answer.iter_lines():
                if line:
                    stream.lines.append(line)
        stream.ended.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield stream
    reader.join(WITHIN_S)


def is_free(port: int | None) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port or 0)) != 0


def beside(home: Home) -> str:
    """What the page and the worker beside it said."""
    log = home.path / "logs" / "serve-worker.log"
    return home.said("serve") + (log.read_text("utf-8", "replace") if log.is_file() else "")
