"""A router by tags, through whole commands: evaluated, learnt, validated, forced, activated, asked, fallen back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint
from tests.home import Home, eventually

WITHIN_S = 120.0
DEMO, CLOUD = "nightjar-demo", "cloud"
STORIES, SUMS, RIDDLES = "stories", "sums", "riddles"
KINDS: tuple[tuple[str, int, dict[str, Any], str], ...] = (
    (STORIES, 48, {"regex": "."}, "Tell a short story of fox {n}."),  # any reply is a good one
    (SUMS, 48, {"includes": "Reply to"}, "Which amount is due on invoice {n}?"),  # known at the endpoint alone
    (RIDDLES, 8, {"regex": "."}, "What is the answer to riddle {n}?"),  # too few to learn anything from
)
MARGIN = ("--margin", "0.2")
"""Wide, so that thirty sequences of a tag are enough."""


def write_suite(folder: Path, name: str, share: int) -> str:
    """`share`: one in so many of the sequences; each suite has its own."""
    sequences = [
        {
            "id": f"{name}-{tag}-{n}",
            "tags": [tag],
            "turns": [{"prompt": ask.format(n=n + 1000 * share), "expect": [check]}],
        }
        for tag, count, check, ask in KINDS
        for n in range(max(1, count // share))
    ]
    text = json.dumps({"nightjar": 1, "name": name, "parameters": {"max_tokens": 4}, "sequences": sequences})
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return f"{name}.yaml"


@pytest.fixture
def home(tmp_path: Path, fake: FakeEndpoint) -> Iterator[Home]:
    home = Home(folder=tmp_path, environment={"FAKE_KEY": KEY})
    try:
        home.ok("services", "up")
        at = ("--key-env", "FAKE_KEY", "--price", "1000:2000", "--allow-private")
        home.ok("endpoint", "add", "fake", fake.base_url, *at)
        home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE)
        yield home
    finally:
        home.close()


def test_a_router_by_tags_from_runs_to_replies(home: Home, fake: FakeEndpoint, tmp_path: Path) -> None:
    home.start("cloud", "worker", "--model", CLOUD, "--gpu", "none")
    home.start("demo", "worker", "--model", DEMO, "--gpu", "none", "--slots", "8", "--live", "1")
    assert "No policy yet" in home.ok("router", "list")
    for run, share in (("monday", 1), ("friday", 2)):
        home.ok("suite", "import", write_suite(tmp_path, run, share))
        home.ok("enqueue", "--suite", run, "-m", DEMO, "-m", CLOUD, "--name", run)
    serve = home.start_serve(within_s=WITHIN_S)
    done = lambda: len(home.find("runs", status="DONE")) == 2  # noqa: E731
    eventually(done, WITHIN_S, lambda: home.said("cloud") + home.said("demo"))
    learnt_and_validated(home)
    only_forced_where_it_is_worth_nothing(home)
    with serve as client:
        asked_by_tag(client, fake)


def learnt_and_validated(home: Home) -> None:
    """By tags is the default; what was learnt is checked on another run, and not on its own."""
    learnt = json.loads(home.ok("router", "learn", "chat", "--run", "monday", *MARGIN, "--json"))["policy"]
    assert (learnt["address"], learnt["version"], learnt["nearest"]) == ("router:chat", 1, None)
    assert (learnt["candidates"], learnt["default"]) == ([DEMO, CLOUD], CLOUD)
    rules = {rule["tag"]: rule["model"] for rule in learnt["rules"]}
    assert rules == {STORIES: DEMO, SUMS: CLOUD, RIDDLES: None}
    assert learnt["validation"]["beats_mix"], learnt["validation"]
    shown = " ".join(home.ok("router", "show", "router:chat").split())
    assert f"All else is answered by {CLOUD}." in shown
    assert "unknown:" in shown, "of the riddles"
    validated = json.loads(home.ok("router", "validate", "router:chat", "--run", "friday", "--json"))["validation"]
    assert validated["sequences"] == 52, "all of them: nothing of this run was learnt from"
    assert (validated["policy"], validated["cheapest"]) == (pytest.approx(1.0), pytest.approx(28 / 52))
    assert validated["share_cheapest"] == pytest.approx(24 / 52)
    assert validated["covered"] == pytest.approx(48 / 52)
    assert 0 < validated["usd"] < validated["usd_best"]
    said = home.ok("router", "validate", "router:chat@1", "--run", "friday")
    assert "On 52 held-out sequences it scores 1.000" in said
    assert "better than that mix" in said
    known = home.run("router", "validate", "router:chat", "--run", "monday")
    assert known.returncode == 2
    assert "learnt from monday" in known.stderr


def only_forced_where_it_is_worth_nothing(home: Home) -> None:
    """Without a margin nothing is shown to be as good: all goes to the default, and no mix is beaten."""
    home.ok("router", "learn", "chat", "--run", "monday", "--margin", "0")
    listed = json.loads(home.ok("router", "list", "--json"))["policies"]
    assert [(each["address"], each["version"], each["active"]) for each in listed] == [
        ("router:chat", 2, False),
        ("router:chat", 1, False),
    ]
    refused = home.run("router", "activate", "router:chat@2")
    assert refused.returncode == 2
    assert "not shown to be better than that mix" in " ".join(refused.stderr.split())
    assert not any(policy["active"] for policy in home.find("routing_policies"))
    assert "go by version 2 now" in home.ok("router", "activate", "router:chat@2", "--force")
    assert "go by version 1 now" in home.ok("router", "activate", "router:chat@1")
    [second, first] = [line for line in home.ok("router", "list").splitlines() if "router:chat" in line]
    assert "active" in first
    assert "active" not in second


def asked_by_tag(client: httpx.Client, fake: FakeEndpoint) -> None:
    """The header `nightjar-tag` decides; where that model gives no reply the other has the whole conversation."""

    def ask(tag: str | None, *texts: str) -> httpx.Response:
        roles = ("user", "assistant")
        body = {
            "model": "router:chat",
            "messages": [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)],
            "max_tokens": 8,
        }
        headers = {} if tag is None else {"nightjar-tag": tag}
        answer = client.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    for tag, model, why in (
        (STORIES, DEMO, f"tag {STORIES}: {DEMO} is "),
        (SUMS, CLOUD, f"tag {SUMS}: {CLOUD} is "),
        (RIDDLES, CLOUD, f"tag {RIDDLES}: unknown: "),
        (f"{STORIES}, {SUMS}", CLOUD, f"tag {SUMS}: "),  # the cautious one of several
        ("poems", CLOUD, "default: no rule for poems"),
        (None, CLOUD, "default: the request shows no tag"),
    ):
        answer = ask(tag, "Tell me of a fox.")
        assert answer.headers["nightjar-model"] == model, tag
        assert answer.headers["nightjar-policy"] == "router:chat@1"
        assert answer.headers["nightjar-reason"].startswith(why), answer.headers["nightjar-reason"]
    fake.always = "400"
    fallen = ask(SUMS, "What is due?", "Ten.", "Are you sure?")
    assert fallen.headers["nightjar-model"] == DEMO
    assert f"{CLOUD} gave no reply" in fallen.headers["nightjar-reason"]
    assert [message["content"] for message in fake.bodies[-1]["messages"]] == ["What is due?", "Ten.", "Are you sure?"]
