"""Judging as a person types it, on the bundled model: it judges a copy of itself, which it must be allowed to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightjar import config
from tests.shell import Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
SUITE = """
nightjar: 1
name: tiny
parameters: {temperature: 0, max_tokens: 24}
sequences:
"""
NAMES = "Nora Otto Mara Finn Ida Paul Rosa".split()
SUITE += "".join(
    f"  - id: {name.lower()}\n    turns:\n      - prompt: Tell me a story about a fox named {name}.\n" for name in NAMES
)
RUBRIC = """
criteria:
  - name: plot
    description: Things happen.
    scale: {1: Nothing happens., 2: Something happens., 3: A lot happens.}
  - name: voice
    description: It sounds like somebody.
    scale: {0: It sounds like nobody., 1: It sounds like somebody.}
"""
PAIRWISE = """
method: pairwise
criteria:
  - name: plot
    description: In which do more things happen?
"""


@contextmanager
def service(shell: Shell, *arguments: str) -> Iterator[None]:
    """A `nightjar` process beside the commands of a test."""
    command = [sys.executable, "-m", "nightjar", *arguments]
    log = (shell.folder / f"{arguments[0]}.log").open("w")
    process = subprocess.Popen(command, cwd=shell.folder, env=shell.environ(), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_a_judged_run_and_its_judges_checked(shell: Shell, tmp_path: Path) -> None:
    """Verdicts on their scales with reasons, and their mean. The demo model judges by chance: a check must say so.

    Then its scores rank nothing, by name. Pairs of the two models are compared in both orders.
    """
    model = tmp_path / "somebody-elses.gguf"
    shutil.copy(DEMO_MODEL, model)
    for name, text in (("tiny.yaml", SUITE), ("rubric.yaml", RUBRIC), ("pairwise.yaml", PAIRWISE)):
        (shell.folder / name).write_text(text)
    judged = ("--judge", "nightjar-demo", "--rubric", "rubric.yaml", "--self-judging")
    models = ("--model", "nightjar-demo", "--model", model, "--set", "somebody-elses:temperature=0.9")
    out = tmp_path / "reports"
    shell.ok("eval", "--suite", "tiny.yaml", *models, *judged, "--name", "judged", "--out", out, "-f", "json")

    report = json.loads((out / "judged.json").read_text())
    scores = [turn["scores"] for job in report["jobs"] for turn in job["turns"]]
    assert len(scores) == 2 * len(NAMES)
    for plot, voice, whole in ((s["judge.plot"], s["judge.voice"], s["judge"]) for s in scores):
        assert plot["value"] in (1, 2, 3)
        assert voice["value"] in (0, 1)
        assert whole["value"] == (plot["value"] + voice["value"]) / 2
    assert report["judging"]["rubric"]["criteria"][0]["name"] == "plot"
    assert len(report["judging"]["prompt_digest"]) == 32
    assert "nightjar judge check" in (
        shell.ok("report", "judged", "-f", "md", "--out", out) and (out / "judged.md").read_text()
    )

    alone = shell.run("judge", "check", "judged", "--self-judging", "--enqueue")
    assert alone.returncode == 0, alone.stderr
    assert "No worker serves the judge 'nightjar-demo'" in alone.stderr

    with service(shell, "dispatcher"), service(shell, "worker", "--model", "nightjar-demo", "--slots", "4"):
        checked = shell.run("judge", "check", "judged", "--self-judging", "--wait", "--json")
        found = json.loads(checked.stdout)
        (check,) = found["checks"]
        assert check["ability"] in ("can't tell them apart", "too few to say"), "the demo model cannot judge"
        unable = check["ability"] == "can't tell them apart"
        assert checked.returncode == int(unable), "a script must learn of a judge that is unable"
        assert ("too few sequences to say" in check["told"]) is not unable
        assert {one["control"]: one["paired"]["n"] for one in check["controls"]} == {
            "shuffled": len(NAMES),
            "truncated": len(NAMES),
            "off_topic": len(NAMES),
        }

        shell.ok("report", "judged", "-f", "json", "-f", "html", "--out", out)
        named = json.loads((out / "judged.json").read_text())
        told = f"Check of judges: {check['told']}."
        assert any(notice["text"].startswith(told) for notice in named["notices"]) is unable
        assert [place["rank"] is None for place in named["ranking"]["places"]] == [unable, unable]
        assert check["ability"].replace("'", "&#39;") in (out / "judged.html").read_text()

        pairs = ("--rubric", "pairwise.yaml", "--judge", "nightjar-demo", "--self-judging")
        shell.ok("judge", "judged", *pairs, "--wait")
        shell.ok("report", "judged", "-f", "json", "--out", out)
        compared = json.loads((out / "judged.json").read_text())["judging"]
        (judge,) = compared["judges"]
        assert judge["asked"] == judge["judged"] <= len(NAMES)
        assert judge["flips"]["compared"] == judge["asked"]
        (rate,) = compared["win_rates"]
        assert (rate["first"], rate["second"], rate["n"]) == ("nightjar-demo", "somebody-elses", len(NAMES))


def test_judging_takes_one_terminal(shell: Shell, tmp_path: Path) -> None:
    """A finished run is judged and its judges are checked with no other process, by a judge given as a file."""
    judge = tmp_path / "somebody-elses.gguf"
    shutil.copy(DEMO_MODEL, judge)
    with judge.open("ab") as file:
        file.write(b"another file, and so another model")
    for name, text in (("tiny.yaml", SUITE), ("rubric.yaml", RUBRIC)):
        (shell.folder / name).write_text(text)
    shell.ok("eval", "--suite", "tiny.yaml", "--model", "nightjar-demo", "--name", "judged", "--limit", "3")
    what = ("--judge", judge, "--rubric", "rubric.yaml")

    left = shell.run("judge", "judged", *what, "--enqueue")
    assert left.returncode == 0, left.stderr
    assert f"nightjar worker --model {judge} --name somebody-elses" in left.stderr
    again = shell.ok("judge", "judged", "--judge", judge)
    assert "Report: " in again, "the same judges go on with what was begun"
    assert shell.json("run", "show", "judged")["run"]["status"] == "DONE"
    shell.ok("report", "judged", "-f", "json", "--out", tmp_path)
    report = json.loads((tmp_path / "judged.json").read_text())
    scores = [turn["scores"]["judge"]["value"] for job in report["jobs"] for turn in job["turns"]]
    assert len(scores) == 3
    assert all(value is not None for value in scores)

    checked = shell.run("judge", "check", "judged", *what, "--sequences", "2", "--json")
    assert checked.returncode in (0, 1), checked.stderr
    assert len(json.loads(checked.stdout)["checks"]) == 1
    _cancelled(shell, judge, report, tmp_path)


def _cancelled(shell: Shell, judge: Path, judged: Any, out: Path) -> None:
    """Another judging is begun, looked at and cancelled: the run stays as it was judged before."""
    page = Path(shell.environment["NIGHTJAR_HOME"]) / "reports" / "judged.html"
    was = page.read_bytes()
    (shell.folder / "strict.yaml").write_text(RUBRIC + "instructions: Be strict.\n")
    shell.run("judge", "judged", "--judge", judge, "--rubric", "strict.yaml", "--enqueue")
    assert "JUDGING, judging 2" in shell.ok("run", "list")
    shell.ok("report", "judged", "-f", "json", "--out", out)
    report = json.loads((out / "judged.json").read_text())
    assert [job["turns"] for job in report["jobs"]] == [job["turns"] for job in judged["jobs"]]
    assert (report["run"]["status"], report["run"]["judging"]) == ("DONE", 1)

    said = shell.ok("run", "cancel", "judged")
    assert "Judging 2 of run 'judged' is cancelled. The run is DONE by judging 1: `nightjar report judged`." in said
    shown = shell.json("run", "show", "judged")["run"]
    assert (shown["status"], shown["judging_shown"], shown["judging_under_way"]) == ("DONE", 1, None)
    assert [judging["status"] for judging in shown["judgings"]] == ["COMPLETE", "CANCELLED"]
    assert page.read_bytes() == was
    beside = shell.ok("report", "judged", "--judging", "2", "--out", out)
    assert str(out / "judged.judging-2.html") in "".join(beside.split())
    assert "was cancelled after 0 of" in (out / "judged.judging-2.html").read_text()
    assert "it was never judged" not in shell.refused("report", "judged", "--judging", "3")


REFUSED = [
    # a scale that does not follow on; nobody to compare with; a judge of its own replies
    (RUBRIC.replace("2: Something happens., ", ""), (), ("rubric.yaml: criteria.0.scale: ", "follow one another")),
    (PAIRWISE, ("--self-judging",), ("has only one model", "--against")),
    (RUBRIC, (), ("is its own", "--self-judging")),
]


@pytest.mark.parametrize(("rubric", "more", "said"), REFUSED)
def test_a_judging_that_cannot_be_is_refused_before_anything_runs(
    shell: Shell, rubric: str, more: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """Exit code 2, what is wrong and where; nothing is stored."""
    (shell.folder / "tiny.yaml").write_text(SUITE)
    (shell.folder / "rubric.yaml").write_text(rubric)
    what = ("--suite", "tiny.yaml", "--model", "nightjar-demo", "--judge", "nightjar-demo", *more)
    error = shell.refused("eval", *what, "--rubric", "rubric.yaml")
    assert all(part in error for part in said)
    assert shell.json("run", "list")["runs"] == []
