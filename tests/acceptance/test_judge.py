"""Judging as a person types it, on the bundled model: it judges its own copy under another name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import config
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
SUITE = """
nightjar: 1
name: tiny
parameters: {temperature: 0, max_tokens: 16}
sequences:
  - id: fox
    turns:
      - prompt: Tell me a story about a fox named Nora.
"""
RUBRIC = """
criteria:
  - name: plot
    description: Things happen.
    scale: {1: Nothing happens., 2: Something happens., 3: A lot happens.}
  - name: voice
    description: It sounds like somebody.
    scale: {0: It sounds like nobody., 1: It sounds like somebody.}
"""


def test_a_judged_evaluation(shell: Shell, tmp_path: Path) -> None:
    """One reply, two criteria: verdicts on their scales with reasons in the report, and their mean."""
    model = tmp_path / "somebody-elses.gguf"
    shutil.copy(DEMO_MODEL, model)
    (shell.folder / "tiny.yaml").write_text(SUITE)
    (shell.folder / "rubric.yaml").write_text(RUBRIC)
    what = ("--suite", "tiny.yaml", "--model", model, "--judge", "nightjar-demo", "--rubric", "rubric.yaml")
    out = tmp_path / "reports"

    shell.ok("eval", *what, "--name", "judged", "--out", out, "-f", "json", "-f", "html", "-f", "csv")

    report = json.loads((out / "judged.json").read_text())
    ((turn,),) = (job["turns"] for job in report["jobs"])
    plot, voice, whole = (turn["scores"][name] for name in ("judge.plot", "judge.voice", "judge"))
    assert (plot["state"], voice["state"]) == ("scored", "scored")
    assert plot["value"] in (1, 2, 3)
    assert voice["value"] in (0, 1)
    assert whole["value"] == (plot["value"] + voice["value"]) / 2
    assert report["run"]["judges"] == ["nightjar-demo"]
    assert report["models"][0]["metrics"]["judge"]["n"] == 1
    assert "judge.plot" in (out / "judged.html").read_text()
    assert "score.judge.plot" in (out / "judged.csv").read_text().splitlines()[0]


def test_a_broken_rubric_is_refused_before_anything_runs(shell: Shell) -> None:
    """Exit code 2, the file and the field; nothing is stored."""
    (shell.folder / "tiny.yaml").write_text(SUITE)
    (shell.folder / "rubric.yaml").write_text(RUBRIC.replace("2: Something happens., ", ""))
    what = ("--suite", "tiny.yaml", "--model", "nightjar-demo", "--judge", "nightjar-demo")
    error = shell.refused("eval", *what, "--rubric", "rubric.yaml")
    assert "rubric.yaml: criteria.0: " in error
    assert "follow one another" in error
