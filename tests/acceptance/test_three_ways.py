"""The three ways in which people begin, command by command as the documentation has them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from junitparser import Error, Failure, JUnitXml

from nightjar import config
from tests.home import Home, eventually
from tests.machines import Machine, copy_package
from tests.shell import PROJECT, Shell

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"

SCORER = """
from nightjar.scorers import Direction, FunctionScorer, Scale, Score

brief = FunctionScorer(
    name="brief",
    scale=Scale(worst=0.0, best=1.0, direction=Direction.HIGHER),
    function=lambda context: Score(value=float(len(context.reply) < 400), reason=f"{len(context.reply)} characters"),
)
"""
RUBRIC = """
criteria:
  - name: warmth
    description: The story is told with warmth.
    scale: {1: cold, 2: neither, 3: warm}
"""


def together(text: str) -> str:
    return " ".join(text.split())


def test_which_of_my_three_models_writes_better(shell: Shell, tmp_path: Path) -> None:
    """A folder of files: what is in it, an answer over a bundled suite, and the replies behind it side by side."""
    folder, out = tmp_path / "models", tmp_path / "out"
    folder.mkdir()
    for name in ("calm", "twin", "curt"):
        shutil.copy(DEMO_MODEL, folder / f"{name}.gguf")
    assert {"calm", "twin", "curt"} <= set(shell.ok("model", "list", folder).replace(".gguf", "").split())
    files = [word for name in ("calm", "twin", "curt") for word in ("-m", folder / f"{name}.gguf")]
    printed = together(
        shell.ok(
            *("eval", "-s", "story-starters", *files, "--limit", "12", "--name", "which", "--yes"),
            *("--set", "max_tokens=48", "--set", "curt:max_tokens=2", "--out", out, "-f", "html,json"),
        )
    )
    assert "beat curt" in printed or "beats curt" in printed, printed
    report = json.loads((out / "which.json").read_text("utf-8"))
    places = {place["model"]: place["rank"] for place in report["ranking"]["places"]}
    assert places["calm"] == places["twin"] < places["curt"], "twins are one rank: they are one model"
    shown = shell.ok("show", "which", "--prompt", "1")
    assert all(f"\n{name}  (" in shown for name in places)
    differing = shell.json("show", "which")
    assert {mark["contestant"] for mark in differing["marks"] if mark["mark"] == "worst"} == {"curt"}
    assert "Worst by checks: " in shell.ok("show", "which").partition("\ncurt  (")[2]
    compared = shell.json("compare", "which:calm", "which:curt")["comparisons"]
    assert compared[0]["metrics"][0]["verdict"] == "worse"


def test_two_hosts_cron_and_gates_for_ci(home: Home, tmp_path: Path) -> None:
    """MongoDB and Redis by URL; cron's host has a project with a `.env`, no environment; JUnit for CI."""
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none")
    eventually(lambda: home.find("services"), 60, lambda: home.said("worker"))
    cron = Machine(package=copy_package(tmp_path / "package", checkout=False), user=tmp_path / "user")
    project, anywhere = tmp_path / "nightly", tmp_path / "anywhere"
    cron.ok(project, "init")
    (project / ".env").write_text(
        f"NIGHTJAR_MONGO_URL={home.url('mongo')}\nNIGHTJAR_REDIS_URL={home.url('redis')}\n", "utf-8"
    )
    (project / ".env").chmod(0o600)
    night = (
        "enqueue",
        "-s",
        "story-starters",
        "-m",
        "nightjar-demo",
        "--limit",
        "6",
        "--set",
        "max_tokens=16",
        "--wait",
    )
    gates = ("--fail-below", "checks:0.99", "--max-missing", "0")
    done = cron.run(anywhere, *night, "--wait", "--name", "night-{date}", *gates, NIGHTJAR_CONFIG=str(project))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "checks" in done.stdout
    [run] = home.find("runs")
    assert run["status"] == "DONE"
    assert not (anywhere / ".nightjar").exists(), "nothing is started or made where cron happens to be"

    out = tmp_path / "ci"
    cron.ok(anywhere, "report", run["name"], "-f", "junit", "--out", out, NIGHTJAR_CONFIG=str(project))
    [path] = out.iterdir()
    results = {case.name: case.result for suite in JUnitXml.fromfile(str(path)) for case in suite}
    tripped = [name for name, found in results.items() if "checks" in name and "0.99" in name and found]
    assert len(tripped) == 1, results
    assert isinstance(results[tripped[0]][0], Failure | Error)
    assert [found for name, found in results.items() if "missing" in name] == [[]]


def test_my_suite_scorer_rubric_judges_and_two_system_prompts(shell: Shell, tmp_path: Path) -> None:
    """What `suite init` began, a scorer in Python, a rubric, two judges, prompt A against B."""
    mine, out = tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    (mine / "house_scorers.py").write_text(SCORER, "utf-8")
    (mine / "rubric.yaml").write_text(RUBRIC, "utf-8")
    (mine / "a.txt").write_text("Every story is about a fox called Mira.", "utf-8")
    (mine / "b.txt").write_text("You tell short stories.", "utf-8")
    for name in ("first-judge", "second-judge"):
        shutil.copy(DEMO_MODEL, mine / f"{name}.gguf")
    suite = mine / "tales.yaml"
    shell.ok("suite", "init", suite)
    shell.ok("suite", "validate", suite)
    own = {"NIGHTJAR_SCORERS": "house_scorers:brief", "PYTHONPATH": f"{PROJECT}{os.pathsep}{mine}"}
    assert "brief" in shell.ok("scorer", "list", env=own)
    judges = [word for name in ("first-judge", "second-judge") for word in ("--judge", mine / f"{name}.gguf")]
    prompts = ("--system", f"A={mine / 'a.txt'}", "--system", f"B={mine / 'b.txt'}")
    shell.ok(
        *(
            "eval",
            "-s",
            suite,
            "-m",
            "nightjar-demo",
            *prompts,
            *judges,
            "--self-judging",
            "--rubric",
            mine / "rubric.yaml",
        ),
        *("--name", "ab", "--set", "max_tokens=32", "--out", out, "-f", "html,json"),
        env=own,
    )
    report = json.loads((out / "ab.json").read_text("utf-8"))
    assert {model["name"] for model in report["models"]} == {"nightjar-demo+A", "nightjar-demo+B"}
    scores = [turn["scores"] for job in report["jobs"] for turn in job["turns"]]
    assert all(0 <= turn["brief"]["value"] <= 1 for turn in scores)
    assert any(name.startswith("judge") for name in scores[0])
    page = (out / "ab.html").read_text("utf-8")
    assert all(word in page for word in ("first-judge", "second-judge", "warmth", "Mira"))
