"""`--fidelity-to`: a run's models held against a reference on its own replies, shown, gated, refused, gone on with."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nightjar import config
from tests.encoder_files import write_bert
from tests.gguf_files import write_llama
from tests.home import Home, eventually
from tests.requantised import requantise
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
WITHIN_S = 120
SHORT = ("--suite", "story-starters", "--limit", "6", "--set", "max_tokens=24")


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return requantise(DEMO_MODEL, "Q2_K", tmp_path_factory.mktemp("coarse") / "coarse.gguf")


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    [row] = report["fidelity"]["candidates"]
    assert row["label"] == "coarse"
    found: dict[str, Any] = row["numbers"]
    return found


def test_a_run_is_held_against_a_reference(shell: Shell, coarse: Path, tmp_path: Path) -> None:
    """The same numbers as `nightjar fidelity --run` gives, on the page with checks, speed and the front, in JSON, CSV
    and Markdown; the gate passes, and trips."""
    out = tmp_path / "out"
    words = ("eval", *SHORT, "--model", "nightjar-demo", "--model", coarse, "--out", out, "-f", "html,json,csv,md")
    asked = ("--fidelity-to", "nightjar-demo", "--name", "night")
    shell.ok(*words, *asked, "--fail-on-drift", "kld:50")
    report = json.loads((out / "night.json").read_text("utf-8"))
    found, fidelity = numbers(report), report["fidelity"]
    own = [job for job in report["jobs"] if job["model"] == "nightjar-demo"]
    assert found["tokens"] == sum(turn["reply_tokens"] for job in own for turn in job["turns"])
    assert (found["texts"], found["unit"], found["exact"]) == (6, "sequence", True)
    assert found["kld"]["value"] > 0.0001
    assert (fidelity["reference"]["label"], fidelity["material"]["replies_of"]) == ("nightjar-demo", "nightjar-demo")
    costs = fidelity["candidates"][0]["costs"]
    assert costs["checks"]["n"] == 6
    assert costs["tokens_per_s"] > 0
    assert any(row["on_front"] for row in (fidelity["reference"], *fidelity["candidates"]))
    assert [result["outcome"] for result in report["gates"]["results"]] == ["passed"]

    alone = shell.json("fidelity", "nightjar-demo", coarse, "--run", "night", "--out", out)
    assert alone["candidates"][0]["numbers"]["kld"]["value"] == pytest.approx(found["kld"]["value"], rel=1e-4)
    assert alone["candidates"][0]["numbers"]["same_top"]["value"] == found["same_top"]["value"]

    page = (out / "night.html").read_text("utf-8")
    assert "Fidelity to nightjar-demo" in page
    assert "What it costs, what it is worth" in page
    assert "Divergence against size" in page
    assert "## Fidelity to nightjar-demo" in (out / "night.md").read_text("utf-8")
    with (out / "night.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {float(row["fidelity.kld"]) for row in rows if row["model"] == "coarse"} == {found["kld"]["value"]}
    assert {row["fidelity.kld"] for row in rows if row["model"] == "nightjar-demo"} == {""}

    again = shell.run(*words, "--fidelity-to", "nightjar-demo", "--name", "tripped", "--fail-on-drift", "kld:0.0000001")
    assert again.returncode == 1
    tripped = json.loads((out / "tripped.json").read_text("utf-8"))["gates"]["results"]
    assert [(result["outcome"], result["about"]) for result in tripped] == [("tripped", "tripped:coarse")]
    assert "--fidelity-to is none, was nightjar-demo" in shell.refused(*words, "--name", "night")


def test_a_reference_that_replies_to_nothing(shell: Shell, coarse: Path, tmp_path: Path) -> None:
    """The candidate's worker loads it and reads the candidate's own replies; its file is fixed for the run."""
    out = tmp_path / "out"
    words = ("eval", *SHORT, "--model", coarse, "--fidelity-to", "nightjar-demo", "--name", "n", "--out", out)
    shell.ok(*words, "-f", "json")
    report = json.loads((out / "n.json").read_text("utf-8"))
    assert report["fidelity"]["material"]["replies_of"] == "coarse"
    assert numbers(report)["kld"]["value"] > 0.0001
    shown = shell.json("run", "show", "n")["run"]
    assert [helper["name"] for helper in shown["helpers"]] == ["nightjar-demo"]


def test_what_cannot_be_compared_is_refused_before_anything_is_generated(
    shell: Shell, coarse: Path, tmp_path: Path
) -> None:
    other, encoder, scored = tmp_path / "other.gguf", tmp_path / "encoder.gguf", tmp_path / "scored.json"
    write_llama(other)
    write_bert(encoder)
    turn = {"prompt": "One", "choices": ["a", "b"], "answer": 0}
    scored.write_text(
        json.dumps({"nightjar": 1, "name": "s", "sequences": [{"id": "s", "mode": "completion", "turns": [turn]}]}),
        "utf-8",
    )

    def refused(*words: str | Path) -> str:
        return shell.refused("eval", *words, "--model", "nightjar-demo")

    assert "another vocabulary than" in refused(*SHORT, "--fidelity-to", other)
    assert "is an embedding model" in refused(*SHORT, "--fidelity-to", encoder)
    assert "is the run's only model" in refused(*SHORT, "--fidelity-to", "nightjar-demo")
    assert "only scores given texts" in refused("--suite", scored, "--fidelity-to", coarse)
    assert "is held against no model" in refused(*SHORT, "--fail-on-drift", "kld:0.1")
    assert "'kld'" in refused(*SHORT, "--fidelity-to", coarse, "--fail-on-drift", "kl:0.1")


def test_a_killed_worker_is_gone_on_from(home: Home, coarse: Path) -> None:
    """Its job goes to the next worker when the lease is over; what was read before is not read again."""
    home.ok("model", "add", str(coarse), "--name", "coarse")
    many = ("--limit", "6", "--repeats", "16", "--set", "max_tokens=96", "--fidelity-to", "nightjar-demo")
    suite = ("--suite", "story-starters", "--model", "nightjar-demo", "--model", "coarse", "--name", "night")
    home.ok("enqueue", *suite, *many)
    assert home.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst").returncode == 0

    def jobs(**query: object) -> list[dict[str, Any]]:
        return home.find("jobs", kind="fidelity", **query)

    home.start("first", "worker", "--model", "coarse", "--gpu", "none", "--slots", "8")
    eventually(lambda: jobs(status="RUNNING"), WITHIN_S, lambda: home.said("first"))
    serving = home.serving("first")  # alone: told to end, it would end the job first
    os.killpg(home.running["first"].pid, signal.SIGKILL)
    serving.kill()
    home.running.pop("first").wait()
    before = {job["_id"] for job in jobs(status="DONE")}
    planned = jobs()
    assert len(before) < len(planned)
    done = home.run("worker", "--model", "coarse", "--gpu", "none", "--burst")
    assert done.returncode == 0, done.stderr
    after = jobs()
    assert {job["status"] for job in after} == {"DONE"}
    assert {job["_id"] for job in after} == {job["_id"] for job in planned}
    assert max(job["fence"] for job in after if job["_id"] not in before) >= 2, "it was claimed again"
    assert all(job["fence"] == 1 for job in after if job["_id"] in before)
    shown = json.loads(home.ok("report", "night", "-f", "json", "--json"))
    report = json.loads(Path(shown["files"][0]).read_text("utf-8"))
    own = [job for job in report["jobs"] if job["model"] == "nightjar-demo"]
    assert numbers(report)["tokens"] == sum(turn["reply_tokens"] for job in own for turn in job["turns"])
