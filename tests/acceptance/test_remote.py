"""A model at an endpoint beside a local one, through whole commands: evaluated, paid for, killed, routed to."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint
from tests.home import Home, eventually

WITHIN_S = 120.0
DEMO, CLOUD = "nightjar-demo", "cloud"
EVAL = ("--suite", "checkable", "--only", "small", "--set", "max_tokens=24")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, fake: FakeEndpoint) -> Iterator[Home]:
    home = Home(folder=tmp_path_factory.mktemp("remote"), environment={"FAKE_KEY": KEY})
    try:
        home.ok("services", "up")
        price = ("--key-env", "FAKE_KEY", "--price", "1000:2000")
        said = home.run("endpoint", "add", "fake", fake.base_url, *price)
        assert said.returncode == 2
        assert "allow_private" in said.stderr
        home.ok("endpoint", "add", "fake", fake.base_url, *price, "--allow-private")
        home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE, "--tag", "judge")
        yield home
    finally:
        home.close()


@pytest.fixture(autouse=True)
def _well(fake: FakeEndpoint) -> Iterator[None]:
    yield
    fake.always, fake.pause_s = None, 0.0
    fake.faults.clear()


def test_an_endpoint_is_listed_and_tried(home: Home, fake: FakeEndpoint) -> None:
    [listed] = json.loads(home.ok("endpoint", "list", "--json"))["endpoints"]
    assert (listed["name"], listed["key_env"], listed["models"]) == ("fake", "FAKE_KEY", [CLOUD])
    assert "answers and lists 1 model." in home.ok("endpoint", "test", "fake")
    wrong = home.run("endpoint", "test", "fake", env={"FAKE_KEY": "sk-wrong-0123456789"})
    assert wrong.returncode == 1
    assert "HTTP 401" in wrong.stdout
    assert "sk-wrong" not in wrong.stdout + wrong.stderr
    unset = home.run("endpoint", "test", "fake", env={"FAKE_KEY": ""})
    assert "FAKE_KEY, which is not set here" in unset.stderr
    in_use = home.run("endpoint", "rm", "fake")
    assert in_use.returncode == 2
    assert f"{CLOUD} answer at fake" in in_use.stderr


def test_local_and_remote_are_compared_in_one_run_and_the_report_has_the_costs(
    home: Home, fake: FakeEndpoint, tmp_path: Path
) -> None:
    before = len(fake.paid)
    done = home.run(
        "eval", *EVAL, "-m", DEMO, "-m", CLOUD, "--name", "both", "--out", str(tmp_path), "-f", "json", "-f", "html"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "both.json").read_text("utf-8"))
    assert [model["name"] for model in report["models"]] == [DEMO, CLOUD]
    assert all(model["turns_missing"] == 0 for model in report["models"])
    [cost] = report["costs"]
    paid = fake.paid[before:]
    expected = sum(use["prompt_tokens"] * 1_000 + use["completion_tokens"] * 2_000 for use in paid) / 1e6
    assert cost["usd"] == pytest.approx(expected)
    assert (cost["requests"], cost["estimated"], cost["unpriced"]) == (len(paid), 0, 0)
    assert "<h3>Costs</h3>" in (tmp_path / "both.html").read_text("utf-8")
    assert "will cost about" in done.stdout + done.stderr
    [run] = [run for run in json.loads(home.ok("status", "--json"))["runs"] if run["name"] == "both"]
    assert run["cost_usd"] == pytest.approx(expected)
    compared = home.ok("compare", f"both:{DEMO}", f"both:{CLOUD}")
    assert "US dollars a conversation" in compared
    assert "US dollars a sequence" in compared
    assert CLOUD in home.ok("status", "both").partition("Costs")[2]
    shown = json.loads(home.ok("show", "both", "--prompt", "1", "--json"))
    [of_sequence] = [each for each in report["sequence_costs"] if each["sequence"] == shown["prompt"]]
    assert shown["costs"] == [of_sequence]
    assert sum(each["usd"] for each in report["sequence_costs"]) == pytest.approx(expected)
    assert f"{CLOUD}: $" in home.ok("show", "both", "--prompt", "1").partition("Cost at endpoints")[2]
    written = [path for folder in (home.path, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_a_judging_says_what_it_will_cost_and_keeps_to_its_budget(
    home: Home, fake: FakeEndpoint, tmp_path: Path
) -> None:
    rubric = tmp_path / "rubric.yaml"
    rubric.write_text("criteria:\n  - {name: plot, description: Things happen., scale: {1: No., 2: Yes.}}\n")
    sent = len(fake.bodies)
    words = ("judge", "both", "--judge", CLOUD, "--self-judging", "--rubric", str(rubric))
    held = home.run(*words, "--budget", "0.0001", "--json")
    assert held.returncode == 1
    assert f"{CLOUD} will cost about $" in held.stderr
    assert "was cancelled: the budget of $" in held.stderr
    assert json.loads(held.stdout)["expected_cost"][0]["verdicts"] > 0
    assert len(fake.bodies) == sent, "nothing was sent that could pass it"
    [run] = home.find("runs", name="both")
    assert (run["status"], run["judging"]["shown"]) == ("DONE", None)


def test_a_policy_is_evaluated_and_falls_back(home: Home, fake: FakeEndpoint, tmp_path: Path) -> None:
    """The endpoint of its first candidate refuses: a model that was served before is served again for its jobs."""
    home.ok("router", "alias", "cloud-first", CLOUD, DEMO)
    fake.always = "402"
    done = home.run(
        *("eval", *EVAL, "-m", DEMO, "-m", "alias:cloud-first", "--name", "routed"),
        *("--out", str(tmp_path), "-f", "json", "-f", "html"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "routed.json").read_text("utf-8"))
    assert [model["name"] for model in report["models"]] == [DEMO, "alias:cloud-first"]
    assert all(model["turns_missing"] == 0 for model in report["models"])
    assert [(each["model"], each["taken_over"] > 0) for each in report["routes"]] == [(CLOUD, False), (DEMO, True)]
    assert "Who answered for the policies" in (tmp_path / "routed.html").read_text("utf-8")
    shown = " ".join(home.ok("show", "routed", "--model", "alias:cloud-first").split())
    assert f"Answered by {DEMO}: {CLOUD} (alias, not learnt); from turn 1 {DEMO} ({CLOUD} gave none: fake is" in shown
    assert f"alias:cloud-first is answered by: {DEMO}" in home.ok("run", "show", "routed")
    refused = home.run("eval", *EVAL, "-m", "alias:cloud-frist")
    assert refused.returncode == 2
    assert "alias:cloud-first" in refused.stderr
    fake.always = None
    home.ok("endpoint", "test", "fake")  # ends the pause


def test_what_it_cannot_do_and_a_budget_that_cannot_be_kept_are_refused_first(home: Home) -> None:
    for words, says in (
        (("--set", f"{CLOUD}:top_logprobs=2"), "top_logprobs is set"),
        (("--set", f'{CLOUD}:grammar=root ::= "a"'), "grammar is set"),
        (("--seed", "3"), "--seed means nothing"),
    ):
        done = home.run("enqueue", "--suite", "checkable", "--only", "small", "-m", CLOUD, *words)
        assert done.returncode == 2
        assert says in done.stderr


def test_a_killed_worker_loses_no_turn_and_no_cent(home: Home, fake: FakeEndpoint) -> None:
    fake.pause_s = 0.3
    begun = len(fake.paid)
    home.ok("enqueue", *EVAL, "-m", CLOUD, "--name", "killed")
    [run] = home.find("runs", name="killed")
    home.start("worker", "worker", "--model", CLOUD, "--gpu", "none")
    eventually(lambda: len(fake.paid) > begun, WITHIN_S, lambda: home.said("worker"))
    children = psutil.Process(home.running["worker"].pid).children(recursive=True)
    assert all(KEY not in " ".join(process.cmdline()) for process in children)
    home.serving("worker").kill()
    fake.pause_s = 0.0
    done = lambda: home.find("runs", name="killed", status="DONE")  # noqa: E731
    eventually(done, WITHIN_S, lambda: home.said("worker"))
    settled = lambda: not home.find("expenses", run=run["_id"], settled=False)  # noqa: E731
    eventually(settled, WITHIN_S)
    entries = {each["_id"]: each for each in home.find("expenses", run=run["_id"])}
    turns = [turn for job in home.find("jobs", run=run["_id"]) for turn in job["turns"]]
    assert all(
        entries[turn["draws"][0]["remote"]["expense"]]["use"] == turn["draws"][0]["remote"]["use"] for turn in turns
    )
    assert len(entries) >= len(fake.paid) - begun, "whatever was begun is counted"
    assert any(each["lost"] for each in entries.values()), "what the killed one had under way counts as all of it"
    home.stop("worker")


def test_an_alias_falls_back_and_says_so(home: Home, fake: FakeEndpoint) -> None:
    home.start("cloud", "worker", "--model", CLOUD, "--gpu", "none")
    home.start("demo", "worker", "--model", DEMO, "--gpu", "none", "--slots", "2", "--live", "1")
    serve = home.start_serve(within_s=WITHIN_S)
    both = lambda: len({worker["model"] for worker in home.find("workers", state="ready")}) == 2  # noqa: E731
    eventually(both, WITHIN_S, lambda: home.said("cloud") + home.said("demo"))
    home.ok("router", "alias", "chat", CLOUD, DEMO)
    messages = [
        {"role": "user", "content": "Tell me of a fox."},
        {"role": "assistant", "content": "It ran."},
        {"role": "user", "content": "Go on."},
    ]
    body = {"model": "alias:chat", "messages": messages, "max_tokens": 16}
    with serve as client:
        first = client.post("/v1/chat/completions", json=body)
        assert first.status_code == 200, first.text
        assert first.headers["nightjar-model"] == CLOUD
        assert first.json()["choices"][0]["message"]["content"] == "Reply to: Go on."
        assert "not learnt" in first.headers["nightjar-reason"]
        assert float(first.headers["nightjar-cost-usd"]) == first.json()["nightjar"][0]["cost_usd"] > 0
        local = client.post("/v1/chat/completions", json=body, headers={"nightjar-local-only": "true"})
        assert local.headers["nightjar-model"] == DEMO
        assert "nightjar-cost-usd" not in local.headers, "no endpoint was asked"
        lacking = client.post("/v1/chat/completions", json=body, headers={"nightjar-memory": "notes"})
        assert lacking.status_code == 400, "a memory is not dropped in silence"
        assert "memory_model" in lacking.json()["error"]["message"]
        texts = iter(["Reply one, of many words.", "Another, of many words."])
        fake.reply, fake.faults, fake.pause_s = lambda asked: next(texts), deque(["cut"]), 0.2
        broken = client.post("/v1/chat/completions", json=body | {"stream": True})
        assert broken.headers["nightjar-model"] == CLOUD
        assert "Reply on" in broken.text
        assert "Another" not in broken.text, "after text has been sent nobody else, and nothing else, is sent"
        assert '"code":"generation_restarted"' in broken.text.replace(" ", "")
        fake.reply, fake.pause_s = (lambda asked: "Reply to: Go on."), 0.0
        fake.always = "400"
        again = client.post("/v1/chat/completions", json=body)
        assert again.headers["nightjar-model"] == DEMO
        assert f"{CLOUD} gave no reply" in again.headers["nightjar-reason"]
        assert fake.bodies[-1]["messages"] == messages, "the whole conversation"
        streamed = client.post("/v1/chat/completions", json=body | {"stream": True})
        assert streamed.headers["nightjar-model"] == DEMO
        assert "data: [DONE]" in streamed.text
