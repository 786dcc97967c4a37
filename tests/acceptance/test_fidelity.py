"""`nightjar fidelity` as a person types it: on a text, on a run's own conversations, gated, and what it refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightjar import config
from tests.encoder_files import write_bert
from tests.gguf_files import write_llama
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
OTHERWISE = "nightjar-demo,cache_type_k=q4_0,cache_type_v=q4_0"
LABEL = "nightjar-demo, cache_type_k=q4_0, cache_type_v=q4_0"
FEW = ("--window", "64", "--limit", "12")


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    text = tmp_path / "stories.txt"
    tale = "Once upon a time a fox met a bear in the wood. They shared their bread and walked home together. "
    text.write_text("".join(f"{n}. {tale}" for n in range(60)), "utf-8")
    return text


def numbers(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["label"]: row["numbers"] for row in shown["candidates"]}


def test_a_text_side_by_side_and_apart(shell: Shell, stories: Path, tmp_path: Path) -> None:
    """The reference as its own candidate is at 0; a coarser cache is not; apart the estimate is within its error."""
    out = tmp_path / "out"
    words = ("fidelity", "nightjar-demo", "nightjar-demo", OTHERWISE, "--text", stories, *FEW, "--out", out)
    shown = shell.json(*words)
    found = numbers(shown)
    same, coarse = found["nightjar-demo (no. 2)"], found[LABEL]
    assert (same["kld"]["value"], same["same_top"]["value"], same["perplexity_ratio"]["value"]) == (0, 1, 1)
    assert coarse["kld"]["value"] > 0.001
    assert coarse["kld"]["interval"]["low"] < coarse["kld"]["value"] < coarse["kld"]["interval"]["high"]
    assert (coarse["exact"], coarse["kld_error"], coarse["unit"], coarse["texts"]) == (True, None, "window", 12)
    loads = {row["label"]: row["load"] for row in (shown["reference"], *shown["candidates"])}
    assert [loads[name]["cache_type_k"] for name in ("nightjar-demo", LABEL)] == ["f16", "q4_0"]
    assert json.loads(Path(shown["files"][1]).read_text("utf-8"))["candidates"] == shown["candidates"]
    page = Path(shown["files"][0]).read_text("utf-8")
    assert LABEL in page
    assert "<script" not in page

    estimated = shell.json(*words, "--apart")
    apart = numbers(estimated)[LABEL]
    assert not apart["exact"]
    assert abs(apart["kld"]["value"] - coarse["kld"]["value"]) < 5 * apart["kld_error"] + 1e-5
    assert apart["same_top"] == coarse["same_top"]
    assert estimated["material"] == shown["material"]
    assert not [path for path in out.iterdir() if path.suffix not in (".html", ".json")]  # nothing is left behind


def test_a_gate_trips(shell: Shell, stories: Path, tmp_path: Path) -> None:
    words = ("fidelity", "nightjar-demo", OTHERWISE, "--text", stories, *FEW, "--out", tmp_path)
    assert "Gate --fail-on-drift kld:50 passed" in shell.ok(*words, "--fail-on-drift", "kld:50")
    done = shell.run(*words, "--fail-on-drift", "kld:0.000001")
    assert done.returncode == 1
    assert "Gate --fail-on-drift kld:1e-06 tripped" in done.stdout
    assert "divergence" in done.stdout


def test_a_run_s_own_conversations(shell: Shell, stories: Path, tmp_path: Path) -> None:
    """Its replies by their stored ids, each after its conversation; what its models cost is shown beside."""
    out = tmp_path / "out"
    shell.ok(
        *("eval", "--suite", "story-starters", "--limit", "6", "--set", "max_tokens=24", "--name", "night"),
        *("--model", "nightjar-demo", "--out", out, "-f", "html,json"),
    )
    shown = shell.json("fidelity", "nightjar-demo", OTHERWISE, "--run", "night", "--out", out)
    found, material = numbers(shown)[LABEL], shown["material"]
    turns = [turn for job in json.loads((out / "night.json").read_text("utf-8"))["jobs"] for turn in job["turns"]]
    assert found["tokens"] == sum(turn["reply_tokens"] for turn in turns)
    assert found["divergence"]["spans"] == len(turns)
    assert (found["unit"], found["texts"]) == ("sequence", 6)
    assert (material["kind"], material["replies_of"], material["left_out"]) == ("run", "nightjar-demo", {})
    assert 0 < found["kld"]["value"] < 1
    assert found["reference_perplexity"] < 5  # they are the model's own words
    costs = shown["reference"]["costs"]
    assert shown["costs_from"] == "night"
    assert costs["checks"]["n"] == 6
    assert costs["tokens_per_s"] > 0
    assert shown["candidates"][0]["costs"]["tokens_per_s"] is None  # that load took no part in it

    other = tmp_path / "other.gguf"
    write_llama(other, context=256)
    words = ("fidelity", other, other, "--text", stories, "--run", "night", "--limit", "2", "--out", out)
    unrelated = shell.json(*words)
    assert unrelated["costs_from"] is None
    assert "None of the loads took part in run night" in unrelated["notices"][0]
    assert unrelated["material"]["window"] == 256  # 512 where all loads were made for as much
    assert "took part in run 'night'" in shell.refused("fidelity", other, other, "--run", "night", "--out", out)
    assert "no run 'nigt'" in shell.refused("fidelity", "nightjar-demo", OTHERWISE, "--run", "nigt", "--out", out)


def test_ctrl_c_ends_it_and_leaves_nothing(shell: Shell, stories: Path, tmp_path: Path) -> None:
    """A progress line says how far it is; the file between two loads is gone with the process."""
    out, long = tmp_path / "out", tmp_path / "long.txt"
    long.write_text(stories.read_text("utf-8") * 200, "utf-8")
    words = ["fidelity", "nightjar-demo", OTHERWISE, "--apart", "--text", str(long), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "nightjar", *words],
        cwd=shell.folder,
        env=shell.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        try:
            assert command.stderr is not None
            line = next(line for line in command.stderr if "comparing" in line)
            command.send_signal(signal.SIGINT)
            printed, said = command.communicate(timeout=90)
        finally:
            command.kill()
    assert re.search(r"comparing: nightjar-demo, to a file, \d+ % of [\d,]+ tokens", line)
    assert (command.returncode, printed) == (130, "")
    assert "Traceback" not in said
    assert list(out.iterdir()) == []


def test_bad_input_is_named_before_anything_is_loaded(shell: Shell, stories: Path, tmp_path: Path) -> None:
    out, other, encoder = tmp_path / "out", tmp_path / "other.gguf", tmp_path / "encoder.gguf"
    write_llama(other)
    write_bert(encoder)
    short = tmp_path / "short.txt"
    short.write_text("Once", "utf-8")

    def refused(*words: str | Path) -> str:
        return shell.refused("fidelity", "nightjar-demo", *words, "--out", out)

    assert "needs something to read" in refused("nightjar-demo")
    assert "another vocabulary than nightjar-demo" in refused(other, "--text", stories)
    assert "entries" in refused(other, "--text", stories)
    assert "is an embedding model" in refused(encoder, "--text", stories)
    assert "gone.gguf" in refused(tmp_path / "gone.gguf", "--text", stories)
    assert "folder" in refused(tmp_path, "--text", stories)
    assert "is a folder" in refused("nightjar-demo", "--text", tmp_path)
    assert "a window has 512" in refused("nightjar-demo", "--text", short, "--as", "llama-perplexity")
    assert "--window asks for 99,999 tokens" in refused("nightjar-demo", "--text", stories, "--window", "99999")
    assert "Did you mean 'llama-perplexity'?" in refused("nightjar-demo", "--text", stories, "--as", "llama-perplexty")
    assert "there is no --text" in refused("nightjar-demo", "--run", "night", "--window", "64")
    assert "'cache_type_k'" in refused("nightjar-demo,cache_typ_k=q8_0", "--text", stories)
    assert "needs flash attention" in " ".join(
        shell.refused(
            *("fidelity", "nightjar-demo", "nightjar-demo,cache_type_v=q8_0,flash_attention=false"),
            *("--text", stories, *FEW, "--out", out),
            code=1,
        ).split()
    )
    assert list(out.iterdir()) == []
