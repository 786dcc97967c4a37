"""A chain beside its own parts, through whole commands: evaluated with its cost, shown, killed in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint
from tests.home import Home, eventually

WITHIN_S = 120.0
CHAIN, CLOUD = "summarised", "cloud"
STORY = "Mia the fox went into the green wood and met an old owl who told her of a silver lake. "
SUITE = {
    "nightjar": 1,
    "name": "long",
    "parameters": {"max_tokens": 16},
    "sequences": [
        {
            "id": f"tale{number}",
            "documents": [{"name": "tale", "text": f"Tale {number}. " + STORY * 30}],
            "turns": ["Who is in it?", "And where?"],
        }
        for number in range(3)
    ],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, fake: FakeEndpoint) -> Iterator[Home]:
    home = Home(folder=tmp_path_factory.mktemp("chain"), environment={"FAKE_KEY": KEY})
    (home.folder / "long.yaml").write_text(json.dumps(SUITE), encoding="utf-8")
    try:
        home.ok("services", "up")
        at = ("--key-env", "FAKE_KEY", "--price", "1000:2000", "--allow-private")
        home.ok("endpoint", "add", "fake", fake.base_url, *at)
        home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE)
        refused = home.run("model", "add", CHAIN, "--compress", "nightjar-demo")
        assert "A chain has --compress and --reply" in refused.stderr
        home.ok("model", "add", CHAIN, "--compress", "nightjar-demo", "--reply", CLOUD, "--budget", "200")
        yield home
    finally:
        home.close()


def test_a_chain_is_evaluated_beside_the_model_that_replies_for_it(home: Home, tmp_path: Path) -> None:
    """It costs less, since it sends less; the compressed text is in the report and shown."""
    assert f"chain nightjar-demo, {CLOUD}" in home.ok("model", "list", "--json")
    written = ("--out", str(tmp_path), "-f", "json", "-f", "html")
    home.ok("eval", "--suite", "long.yaml", "-m", CHAIN, "-m", CLOUD, "--name", "both", *written)
    report = json.loads((tmp_path / "both.json").read_text("utf-8"))
    costs = {cost["model"]: cost["usd"] for cost in report["costs"]}
    assert 0 < costs[CHAIN] < costs[CLOUD] / 2
    jobs = home.find("jobs", model=CHAIN)
    summaries = [summary for job in jobs for summary in job["turns"][0]["summaries"]]
    assert len(summaries) >= 3
    assert all(summary["tokens_after"] < summary["tokens_before"] for summary in summaries)
    assert not any(job["turns"][1]["summaries"] for job in jobs)
    shown = home.ok("show", "both", "--model", CHAIN)
    assert "In place of the document tale" in shown
    assert "Summary of the document tale" in (tmp_path / "both.html").read_text("utf-8")
    compared = home.ok("compare", f"both:{CLOUD}", f"both:{CHAIN}")
    assert "US dollars a conversation" in compared


def test_a_worker_that_is_killed_in_the_middle_loses_no_turn_and_no_cent(home: Home, fake: FakeEndpoint) -> None:
    fake.pause_s = 0.3
    begun = len(fake.paid)
    home.ok("suite", "import", "long.yaml")
    home.ok("enqueue", "--suite", "long", "-m", CHAIN, "--name", "killed")
    [run] = home.find("runs", name="killed")
    home.start("worker", "worker", "--model", CHAIN, "--gpu", "none")
    eventually(lambda: len(fake.paid) > begun, WITHIN_S, lambda: home.said("worker"))
    home.serving("worker").kill()
    fake.pause_s = 0.0
    done = lambda: home.find("runs", name="killed", status="DONE")  # noqa: E731
    eventually(done, WITHIN_S, lambda: home.said("worker"))
    settled = lambda: not home.find("expenses", run=run["_id"], settled=False)  # noqa: E731
    eventually(settled, WITHIN_S)
    entries = {each["_id"]: each for each in home.find("expenses", run=run["_id"])}
    turns = [turn for job in home.find("jobs", run=run["_id"]) for turn in job["turns"]]
    assert len(turns) == 6
    assert all(
        entries[turn["draws"][0]["remote"]["expense"]]["use"] == turn["draws"][0]["remote"]["use"] for turn in turns
    )
    assert len(entries) >= len(fake.paid) - begun, "whatever was begun is counted"
    assert any(each["lost"] for each in entries.values()), "what the killed one had under way counts as all of it"
    assert all(turn["summaries"] for turn in turns if turn["index"] == 0)
    home.stop("worker")


def test_a_live_conversation_is_compressed_too(home: Home, fake: FakeEndpoint) -> None:
    """It is given as messages; what was said before the last exchange is summed up."""
    home.start("live", "worker", "--model", CHAIN, "--gpu", "none", "--live", "1")
    serve = home.start_serve(within_s=WITHIN_S)
    eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("live"))
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": f"Part {number}. " + STORY * 6}
        for number in range(8)
    ]
    body = {"model": CHAIN, "messages": [*messages, {"role": "user", "content": "Who was it?"}], "max_tokens": 16}
    with serve as client:
        answer = client.post("/v1/chat/completions", json=body)
        home.ok("router", "alias", "chat", CHAIN, CLOUD)
        routed = client.post("/v1/chat/completions", json=body | {"model": "alias:chat"})
    assert answer.status_code == 200, answer.text
    assert routed.headers["nightjar-model"] == CHAIN, "a candidate like any other"
    sent = fake.bodies[-1]["messages"]
    assert sent[-1]["content"].endswith("Who was it?")
    assert len(sent) < len(messages)
    assert "Summary of our conversation so far: " in json.dumps(sent)
    assert sent[0] == messages[0], "what it began with stays"
