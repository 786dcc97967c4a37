"""What goes while `/v1` replies: clients have the rest or an error, and never silence.

Real processes of a worker, Redis and MongoDB are killed or stopped, and clients speak HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import httpx
import pytest

from tests.home import Home, eventually

WITHIN_S = 120.0
SILENT_S = 30.0
"""On a busy machine; a stream has a comment every 3 s."""
MODEL = "nightjar-demo"
LONG = {"json_schema": {"type": "string", "minLength": 3000}, "max_tokens": 1900}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Tell me a story about a fox."}]},
    "/v1/completions": {"prompt": "Once upon a time"},
}


@dataclass(kw_only=True)
class Stream:
    """A client's side of a stream: the data of its events, in order."""

    events: list[str] = field(default_factory=list)
    begun: Event = field(default_factory=Event)

    def read(self, client: httpx.Client, path: str) -> None:
        body = {"model": MODEL, "stream": True, **ASKED[path], **LONG}
        with client.stream("POST", path, json=body, timeout=SILENT_S) as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.events.append(line.removeprefix("data: "))
                if len(self.events) > 2:
                    self.begun.set()

    @property
    def job(self) -> str:
        return str(json.loads(self.events[0])["id"]).partition("-")[2]

    @property
    def text(self) -> str:
        choices = [choice for event in self.events[:-1] for choice in json.loads(event)["choices"]]
        return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(folder=tmp_path_factory.mktemp("faults"))
    try:
        home.ok("services", "up")
        home.start("worker", "worker", "--model", MODEL, "--gpu", "none", "--slots", "5", "--live", "4")
        yield home
    finally:
        home.close()


@pytest.fixture(scope="module")
def client(home: Home) -> Iterator[httpx.Client]:
    with home.start_serve(within_s=WITHIN_S) as client:
        yield client


def replying(home: Home, client: httpx.Client, pool: ThreadPoolExecutor) -> tuple[list[Stream], list[Future[Any]]]:
    """A stream of either protocol and a reply that is wanted whole, all of them under way."""
    eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("worker"))
    streams = [Stream() for _ in ASKED]
    asked: list[Future[Any]]
    asked = [pool.submit(stream.read, client, path) for stream, path in zip(streams, ASKED, strict=True)]
    path = "/v1/chat/completions"
    asked.append(pool.submit(client.post, path, json={"model": MODEL, **ASKED[path], **LONG}))
    for stream in streams:
        assert stream.begun.wait(WITHIN_S), "it did not begin"
    eventually(lambda: len(home.find("jobs", status="RUNNING")) == len(asked), WITHIN_S)
    return streams, asked


def kill_worker(home: Home) -> None:
    home.serving("worker").kill()


def kill_redis(home: Home) -> None:
    [server] = home.servers("redis")
    server.kill()


def kill_mongo(home: Home) -> None:
    [server] = home.servers("mongo")
    server.kill()


@pytest.mark.parametrize("fault", [kill_worker, kill_redis, kill_mongo])
def test_what_goes_while_it_replies_is_no_silence(
    fault: Callable[[Home], None], home: Home, client: httpx.Client
) -> None:
    """Streams end with all of the committed reply, or say that it began again; who waits for all of it gets all."""
    with ThreadPoolExecutor() as pool:
        streams, asked = replying(home, client, pool)
        heard = [len(stream.events) for stream in streams]
        fault(home)
        for each in asked:
            each.result(WITHIN_S)
    for stream, before in zip(streams, heard, strict=True):
        assert len(stream.events) > before, "it had ended before"
        _whole_or_restarted(stream, home)
    whole = asked[-1].result()
    assert whole.status_code == 200, whole.text
    [job] = home.find("jobs", _id=whole.json()["id"].removeprefix("chatcmpl-"))
    assert whole.json()["choices"][0]["message"]["content"] == job["turns"][0]["draws"][0]["reply"]
    if fault is kill_worker:
        assert job["fence"] > 1, "it was not killed in the middle"


def test_mongodb_that_does_not_answer(home: Home, client: httpx.Client) -> None:
    """What is asked meanwhile is refused in the protocol's shape, with when to ask again; replies under way go on."""
    with ThreadPoolExecutor() as pool:
        streams, asked = replying(home, client, pool)
        [server] = home.servers("mongo")
        server.suspend()
        try:
            path = "/v1/chat/completions"
            refused = client.post(path, json={"model": MODEL, **ASKED[path]}, timeout=WITHIN_S)
        finally:
            server.resume()
        for each in asked:
            each.result(WITHIN_S)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    error = refused.json()["error"]
    assert (error["type"], "MongoDB" in error["message"]) == ("server_error", True)
    for stream in streams:
        _whole_or_restarted(stream, home)
    assert asked[-1].result().status_code == 200


def _whole_or_restarted(stream: Stream, home: Home) -> None:
    last = stream.events[-1]
    if last == "[DONE]":
        [job] = eventually(lambda: home.find("jobs", _id=stream.job), WITHIN_S)
        assert stream.text == job["turns"][0]["draws"][0]["reply"]
        return
    error = json.loads(last)["error"]
    assert (error["code"], error["type"], error["param"]) == ("generation_restarted", "server_error", None)
    assert "began again" in error["message"]
