"""A local model, a real small one in llama.cpp's own server and a cloud with prices in one run; then whatever dies, the
ledger is whole.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.scripts.dev.bench.server import Server, find_server
from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint
from tests.home import Home, eventually
from tests.smollm2 import smollm2

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="llama.cpp's server comes with the xllamacpp wheel, which is not installed here (Linux alone has one)",
)
WITHIN_S = 120.0
DEMO, SERVED, CLOUD = "nightjar-demo", "served", "cloud"
EVAL = ("--suite", "checkable", "--only", "small", "--set", "max_tokens=24")


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = find_server(None, None)
    assert program is not None
    log = tmp_path_factory.mktemp("llama-server") / "log"
    server = Server(program, smollm2(), slots=2, context=2048, threads=1, log=log)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, fake: FakeEndpoint, llama_server: Server) -> Iterator[Home]:
    home = Home(folder=tmp_path_factory.mktemp("three"), environment={"FAKE_KEY": KEY})
    try:
        home.ok("services", "up")
        priced = ("--key-env", "FAKE_KEY", "--price", "1000:2000", "--allow-private")
        home.ok("endpoint", "add", "fake", fake.base_url, *priced)
        home.ok("model", "add", CLOUD, "--endpoint", "fake", "--model", MODEL_AT_FAKE)
        kind = ("--kind", "llama-server", "--context", "2048", "--price", "0:0", "--allow-private")
        home.ok("endpoint", "add", "server", llama_server.base_url, *kind)
        home.ok("model", "add", SERVED, "--endpoint", "server", "--model", "smollm2")
        yield home
    finally:
        home.close()


def test_one_suite_on_three_kinds_of_models_in_one_run(home: Home, fake: FakeEndpoint, tmp_path: Path) -> None:
    models = ("-m", DEMO, "-m", SERVED, "-m", CLOUD)
    done = home.run("eval", *EVAL, *models, "--name", "three", "--out", str(tmp_path), "-f", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "three.json").read_text("utf-8"))
    assert [model["name"] for model in report["models"]] == [DEMO, SERVED, CLOUD]
    assert all(model["turns_missing"] == 0 for model in report["models"])
    costs = {cost["model"]: cost for cost in report["costs"] if cost["model"] != DEMO}
    assert costs[CLOUD]["usd"] == pytest.approx(
        sum(use["prompt_tokens"] * 1_000 + use["completion_tokens"] * 2_000 for use in fake.paid) / 1e6
    )
    assert (costs[SERVED]["usd"], costs[SERVED]["unpriced"]) == (0, 0), "somebody said that it is free"
    assert costs[SERVED]["requests"] > 0
    [run] = home.find("runs", name="three")
    texts: dict[str, dict[tuple[str, int], str]] = {DEMO: {}, SERVED: {}, CLOUD: {}}
    for job in home.find("jobs", run=run["_id"], kind="reply"):
        said = {(job["sequence"], turn["index"]): turn["draws"][0]["reply"].strip() for turn in job["turns"]}
        texts[job["model"]] |= said
    assert texts[DEMO].keys() == texts[SERVED].keys() == texts[CLOUD].keys() != set()
    assert all(texts[SERVED].values())
    differing = sum(text != texts[DEMO][key] for key, text in texts[SERVED].items())
    assert differing > 0.5 * len(texts[SERVED]), "the server holds another model than the one here"
    spent = {entry["model"]: entry for entry in home.find("expenses", run=run["_id"], settled=True)}
    assert spent.keys() == {SERVED, CLOUD}
    assert spent[SERVED]["use"]["reply"] > 0
    assert not spent[SERVED]["use"]["estimated"], "llama.cpp's server counts"


def test_a_killed_worker_a_killed_dispatcher_and_a_budget_reached_leave_every_cent_counted(
    home: Home, fake: FakeEndpoint
) -> None:
    """The sum of what is settled is the sum over the turns and over what was lost, and what was begun is all in it."""
    fake.pause_s, begun = 0.1, len(fake.paid)
    asked = (*EVAL, "-m", CLOUD, "-m", SERVED, "--repeats", "3", "--name", "crashes")
    home.ok("enqueue", *asked, "--budget", "2")
    [run] = home.find("runs", name="crashes")
    home.start("dispatcher", "dispatcher")
    home.start("cloud", "worker", "--model", CLOUD, "--gpu", "none")
    home.start("served", "worker", "--model", SERVED, "--gpu", "none")
    eventually(lambda: len(fake.paid) > begun + 1, WITHIN_S, lambda: home.said("cloud"))
    home.serving("cloud").kill()
    killed = home.running.pop("dispatcher")
    killed.kill()
    killed.wait()
    fake.pause_s = 0.0
    reached = lambda: home.find("runs", name="crashes")[0].get("budget_reached")  # noqa: E731
    reason = eventually(reached, WITHIN_S, lambda: home.said("cloud") + home.said("served"))
    assert "budget of $2.00" in reason
    home.start("dispatcher", "dispatcher")
    stopped = lambda: home.find("runs", name="crashes")[0]["status"] not in ("ACTIVE", "SCORING")  # noqa: E731
    eventually(stopped, WITHIN_S, lambda: home.said("dispatcher"))
    whole(home, fake, run["_id"], begun)
    paid = sum(entry["usd"] or 0 for entry in home.find("expenses", run=run["_id"]))
    assert 0 < paid <= 2
    home.ok("enqueue", *asked, "--budget", "100")
    home.ok("run", "resume", "crashes")
    done = lambda: home.find("runs", name="crashes", status="DONE")  # noqa: E731
    eventually(done, WITHIN_S, lambda: home.said("dispatcher") + home.said("cloud"))
    turns = whole(home, fake, run["_id"], begun)
    jobs = home.find("jobs", run=run["_id"], kind="reply")
    assert {job["status"] for job in jobs} == {"DONE"}
    assert len(turns) == sum(job["turns_total"] for job in jobs)


def whole(home: Home, fake: FakeEndpoint, run: str, begun: int) -> list[dict[str, Any]]:
    """Checks the ledger against the turns, which it returns."""
    eventually(lambda: not home.find("expenses", run=run, settled=False), WITHIN_S)
    entries = {each["_id"]: each for each in home.find("expenses", run=run)}
    turns = [turn for job in home.find("jobs", run=run) for turn in job["turns"]]
    calls = [draw["remote"] for turn in turns for draw in turn["draws"]]
    assert len({call["expense"] for call in calls}) == len(calls), "none is counted twice"
    assert all(entries[call["expense"]]["use"] == call["use"] for call in calls)
    others = [entry for name, entry in entries.items() if name not in {call["expense"] for call in calls}]
    assert all(entry["lost"] or entry["use"]["estimated"] for entry in others), "nobody has their replies"
    cloud = [entry for entry in entries.values() if entry["model"] == CLOUD]
    assert len(cloud) >= len(fake.paid) - begun, "whatever was begun is counted"
    total = sum(entry["usd"] for entry in cloud)
    of_turns = sum(call["usd"] for call in calls if call["usd"] is not None)
    assert total == pytest.approx(of_turns + sum(entry["usd"] for entry in others if entry["model"] == CLOUD))
    return turns
