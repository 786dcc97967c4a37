"""An endpoint's key is in the environment and in the requests, and nowhere else: looked for everywhere afterwards."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
import pytest
import redis

from nightjar.pipeline.exports.formats import BUILDERS
from tests.fake_endpoint import MODEL_AT_FAKE, FakeEndpoint, fake_endpoint
from tests.home import DATABASE, Home, eventually

WITHIN_S = 120.0


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


KEY = f"sk-{secrets.token_hex(20)}"
WRONG = f"sk-{secrets.token_hex(20)}"
FORMS = [form for key in (KEY, WRONG) for form in (key, key[:24], _base64(key), _base64(f"Bearer {key}"))]
"""Also most of it, and as it would stand in a header of another kind."""
CLOUD, DEMO = "cloud", "nightjar-demo"
EVAL = ("--suite", "checkable", "--only", "small", "--set", "max_tokens=16")
PAGES = (
    "/",
    "/runs",
    "/new",
    "/runs/leaks",
    "/runs/leaks/transcripts",
    "/runs/leaks/report",
    "/models",
    "/workers",
    "/doctor",
    "/settings",
    "/suites",
    "/schedules",
    "/play",
    "/search",
    "/trend",
    "/stats",
    "/health",
    "/v1/models",
    "/costs",
    "/metrics",
    "/policies/alias:chat@1",
    "/api/status",
    "/api/runs",
    "/api/runs/leaks",
    "/api/models",
    "/api/workers",
    "/api/openapi.json",
)
FORMATS = ("html", "json", "csv", "md", *BUILDERS)


def found_in(text: str | bytes) -> list[str]:
    """The forms of a key that stand in it."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return [form for form in FORMS if form.encode() in raw]


@contextmanager
def watched_processes() -> Iterator[set[str]]:
    """Command lines in which a key stood while it was open, of all processes of the machine."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if found_in(line):
                    seen.add(line.decode("utf-8", "replace"))
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    environment = {"FAKE_KEY": KEY, "NIGHTJAR_LOG_LEVEL": "debug", "NIGHTJAR_REMOTE__TRIES": "2"}
    home = Home(folder=tmp_path, environment=environment)
    try:
        yield home
    finally:
        home.close()


def test_a_key_is_found_nowhere(home: Home, tmp_path: Path) -> None:
    """Through replies, faults that repeat it, a refusal, a wrong key, exports, reports and pages."""
    said: list[str] = []
    with fake_endpoint(key=KEY) as fake, watched_processes() as lines:
        said += evaluated(home, fake, tmp_path)
        said += refused(home, fake)
        said += served(home, tmp_path)
        kept = documents(home) + in_redis(home)
    assert fake.headers, "it was asked"
    assert any(header.get("authorization") == f"Bearer {KEY}" for header in fake.headers), "with the key"
    assert lines == set()
    assert [found_in(text) for text in said if found_in(text)] == []
    assert [found_in(text) for text in kept if found_in(text)] == []
    home.ok("services", "down")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    assert [str(path) for path in files if found_in(path.read_bytes())] == []


def evaluated(home: Home, fake: FakeEndpoint, folder: Path) -> list[str]:
    """What commands say of a run with faults, its reports and its exports."""
    home.ok("services", "up")
    home.ok(
        "endpoint", "add", "fake", fake.base_url, "--key-env", "FAKE_KEY", "--price", "1000:2000", "--allow-private"
    )
    home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE)
    fake.faults.extend(["500", "not JSON", "error in the middle", "cut"])
    fake.says = f"Something is wrong with your key {KEY}."
    done = [home.run("eval", *EVAL, "-m", CLOUD, "--name", "leaks", "--out", str(folder / "out"))]
    assert done[0].returncode == 0, done[0].stdout + done[0].stderr
    home.ok("router", "alias", "chat", CLOUD)
    done += [
        home.run("report", "leaks", "--format", ",".join(FORMATS), "--out", str(folder / "out")),
        home.run("run", "export", "leaks", "--out", str(folder / "leaks.run")),
        home.run("run", "show", "leaks"),
        home.run("show", "leaks"),
        home.run("status", "--json"),
        home.run("doctor", "--json"),
        home.run("endpoint", "list", "--json"),
        home.run("endpoint", "test", "fake"),
        home.run("model", "list", "--json"),
    ]
    assert done[1].returncode == 0, done[1].stderr
    return [text for each in done for text in (each.stdout, each.stderr)]


def refused(home: Home, fake: FakeEndpoint) -> list[str]:
    """The endpoint repeats the key that it was sent, the right one and a wrong one."""
    fake.always = "401"
    home.ok("enqueue", *EVAL, "-m", CLOUD, "--name", "refused")
    done = [
        home.run("worker", "--model", CLOUD, "--gpu", "none", "--burst"),
        home.run("status"),
        home.run("run", "show", "refused"),
        home.run("endpoint", "test", "fake"),
        home.run("endpoint", "test", "fake", env={"FAKE_KEY": WRONG}),
        home.run("eval", *EVAL, "-m", CLOUD, "--name", "wrong", "-y", env={"FAKE_KEY": WRONG}),
    ]
    assert done[0].returncode != 0
    fake.always = None
    home.ok("endpoint", "test", "fake")
    return [text for each in done for text in (each.stdout, each.stderr)]


def served(home: Home, folder: Path) -> list[str]:
    """Every page, and live requests that go well and that fail."""
    home.start("cloud", "worker", "--model", CLOUD, "--gpu", "none")
    serve = home.start_serve(within_s=WITHIN_S)
    eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("cloud"))
    token = home.ok("token", "add", "all", "--scope", "admin", "--budget", "100").strip()
    texts = []
    with serve as client:
        client.headers["authorization"] = f"Bearer {token}"
        ask = {"model": CLOUD, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
        for _ in range(2):
            answer = client.post("/v1/chat/completions", json=ask)
            texts.append(answer.text + str(answer.headers))
        for path in PAGES:
            answer = client.get(path, headers={"accept": "text/html"})
            assert answer.status_code in (200, 303), f"{path}: {answer.status_code}"
            texts.append(answer.text + str(answer.headers))
    texts += [home.ok("token", "list", "--json"), home.ok("token", "list")]
    home.stop("serve")
    home.stop("cloud")
    return texts


def documents(home: Home) -> list[str]:
    """All of MongoDB."""
    with pymongo.MongoClient[dict[str, object]](home.url("mongo")) as client:
        database = client[DATABASE]
        names = database.list_collection_names()
        assert {"jobs", "expenses", "endpoint_pauses", "api_requests"} <= set(names)
        return [repr(row) for name in names for row in database[name].find({})]


def in_redis(home: Home) -> list[bytes]:
    """All of Redis, values as they are stored."""
    with redis.Redis.from_url(home.url("redis")) as client:
        return [part for key in client.scan_iter() for part in (key, client.dump(key) or b"")]
