"""A router by nearest prompts, through whole commands: evaluated, learnt, validated, activated, asked, fallen back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint
from tests.home import Home, eventually
from tests.minilm import WHEEL_SHA256, cached_gguf

WITHIN_S = 120.0
DEMO, CLOUD = "nightjar-demo", "cloud"
ANIMALS = tuple("fox owl hare otter mouse badger robin frog swan bear wolf deer crow goose hedgehog mole".split())
PLACES = ("wood", "lake", "meadow", "cave", "garden", "river", "hill", "barn", "beach", "valley")
TITLES = ("invoice", "contract", "tax return", "lease", "receipt", "budget", "payroll", "ledger", "audit", "loan")
SUMS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")


def story(animal: str, place: str) -> str:
    return f"Tell a short story of a {animal} in the {place}."


def sum_up(title: str, month: str) -> str:
    return f"Which amount is due on the {title} of {month}, with interest?"


def suite() -> str:
    """Any reply to a story is a good one; the amounts are known at the endpoint alone."""
    kinds = ((story, ANIMALS, PLACES, {"regex": "."}), (sum_up, TITLES, SUMS, {"includes": "Reply to"}))
    sequences = [
        {"id": f"{one}-{other}".replace(" ", "-").lower(), "turns": [{"prompt": ask(one, other), "expect": [check]}]}
        for ask, ones, others, check in kinds
        for one in ones
        for other in others
    ]
    return json.dumps({"nightjar": 1, "name": "mixed", "parameters": {"max_tokens": 8}, "sequences": sequences})


@pytest.fixture
def home(tmp_path: Path, fake: FakeEndpoint, request: pytest.FixtureRequest) -> Iterator[Home]:
    assert request.config.cache is not None
    embedder = cached_gguf(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))[1]
    home = Home(folder=tmp_path, environment={"FAKE_KEY": KEY, "NIGHTJAR_MEMORY_MODEL": str(embedder)})
    try:
        home.ok("services", "up")
        at = ("--key-env", "FAKE_KEY", "--price", "1000:2000", "--allow-private")
        home.ok("endpoint", "add", "fake", fake.base_url, *at)
        home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE)
        yield home
    finally:
        home.close()


def test_a_router_by_nearest_prompts_from_runs_to_replies(home: Home, fake: FakeEndpoint, tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text(suite(), encoding="utf-8")
    home.ok("eval", "--suite", "mixed.yaml", "-m", DEMO, "-m", CLOUD, "--name", "r", "--out", str(tmp_path))
    none = home.run("router", "learn", "chat", "--run", "r", "--by", "nearest", env={"NIGHTJAR_MEMORY_MODEL": DEMO})
    assert "generates text" in none.stderr
    learnt = json.loads(home.ok("router", "learn", "chat", "--run", "r", "--by", "nearest", "--json"))["policy"]
    assert learnt["candidates"] == [DEMO, CLOUD]
    assert learnt["validation"]["beats_mix"], learnt["validation"]
    assert learnt["validation"]["usd"] < learnt["validation"]["usd_best"]
    assert "of them something is known" in home.ok("router", "show", "router:chat")
    chosen = ("fox-wood", "owl-lake", "invoice-january")
    only = [word for sequence in chosen for word in ("--only", sequence)]
    without = home.run("enqueue", "--suite", "mixed", "-m", "router:chat@1", env={"NIGHTJAR_MEMORY_MODEL": DEMO})
    assert "router:chat@1 needs an embedding model" in without.stderr, without.stderr
    home.ok("eval", "--suite", "mixed", "-m", "router:chat@1", *only, "--name", "routed", "--out", str(tmp_path))
    jobs = {job["sequence"]: job for job in home.find("jobs", **{"routed.asked_as": "router:chat@1"})}
    assert {name: job["model"] for name, job in jobs.items()} == dict(zip(chosen, (DEMO, DEMO, CLOUD), strict=True))
    assert {job["status"] for job in jobs.values()} == {"DONE"}
    unable = home.run("router", "activate", "router:chat", env={"NIGHTJAR_MEMORY_MODEL": DEMO})
    assert "generates text" in unable.stderr
    home.ok("router", "activate", "router:chat")
    home.ok("run", "rm", "r", "--yes")  # a policy holds what it was learnt from
    home.start("cloud", "worker", "--model", CLOUD, "--gpu", "none")
    home.start("demo", "worker", "--model", DEMO, "--gpu", "none", "--slots", "2", "--live", "1")
    serve = home.start_serve(within_s=WITHIN_S)
    both = lambda: len({worker["model"] for worker in home.find("workers", state="ready")}) == 2  # noqa: E731
    eventually(both, WITHIN_S, lambda: home.said("cloud") + home.said("demo"))
    with serve as client:

        def ask(*texts: str) -> httpx.Response:
            messages = [
                {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)
            ]
            answer = client.post(
                "/v1/chat/completions", json={"model": "router:chat", "messages": messages, "max_tokens": 8}
            )
            assert answer.status_code == 200, answer.text
            return answer

        near = ask(story("squirrel", "forest"))
        assert (near.headers["nightjar-model"], near.headers["nightjar-policy"]) == (DEMO, "router:chat@1")
        assert near.headers["nightjar-reason"].startswith("nearest "), near.headers["nightjar-reason"]
        assert ask(sum_up("invoice", "December")).headers["nightjar-model"] == CLOUD
        unlike = ask("def f(x): return x  # what is wrong with this Python?")
        assert unlike.headers["nightjar-model"] == CLOUD
        assert "default: unknown" in unlike.headers["nightjar-reason"]
        later = ask(story("squirrel", "forest"), "It ran.", "And what is due on its invoice?")
        assert later.headers["nightjar-model"] == DEMO, "a conversation stays where it began"
        fake.always = "400"
        fallen = ask(sum_up("invoice", "December"), "Ten.", "Are you sure?")
        assert fallen.headers["nightjar-model"] == DEMO
        assert f"{CLOUD} gave no reply" in fallen.headers["nightjar-reason"]
        assert [message["content"] for message in fake.bodies[-1]["messages"]][1:] == ["Ten.", "Are you sure?"]
