"""Commands whose standard streams are closed, narrow, full, or read by somebody who stops reading."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import LIMIT_S, PROJECT, Shell

pytestmark = pytest.mark.timeout(900)  # many commands, each with an interpreter of its own
SCORER = """
from nightjar.scorers import Direction, FunctionScorer, Scale, Score

scale = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="share", least=0.0, most=1.0)
half = FunctionScorer(
    name="half", scale=scale, function=lambda context: Score(value=1.0, answer="\\udc80", reason="half \\ud83d of it"),
    help="gives half a character as its reason",
)
"""
SUITE = """nightjar: 1
name: many
sequences:
{rows}
"""


def sh(shell: Shell, rest: str, *command: str | Path, **env: str) -> tuple[int, str, str]:
    """Exit code of the command in a pipeline or with redirections, and what it and its reader wrote."""
    code = shell.folder.parent / "code"
    words = shlex.join([sys.executable, "-m", "nightjar", *map(str, command)])
    done = subprocess.run(
        ["bash", "-c", f"{words} {rest}; echo ${{PIPESTATUS[0]}} >{shlex.quote(str(code))}"],
        cwd=shell.folder,
        env=shell.environ(env),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = done.stderr.decode()
    assert "should not have happened" not in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return int(code.read_text()), done.stdout.decode(), said


@pytest.fixture
def suite(shell: Shell) -> str:
    """A suite whose listing is longer than a pipe holds, with letters that ASCII lacks."""
    file = shell.folder / "many.yaml"
    rows = "\n".join(f"  - id: s{n}\n    turns: [{{prompt: 'Größe 大 {n} {'x' * 300}'}}]" for n in range(2000))
    file.write_text(SUITE.format(rows=rows), encoding="utf-8")
    shell.ok("suite", "import", file)
    return "many"


def test_a_reader_that_has_seen_enough_is_no_error(shell: Shell, suite: str) -> None:
    """`| head`: exit code 0, and the code of the work where that failed."""
    for options in (("suite", "export", suite), ("suite", "show", suite, "--json"), ("suite", "show", suite)):
        code, printed, said = sh(shell, "| head -n 1", *options)
        assert (code, said) == (0, "")
        assert printed.count("\n") == 1
    code, _, _ = sh(shell, "2>&1 | head -n 0", "suite", "show", "nothing")
    assert code == 2


def test_output_that_ends_in_nothing(shell: Shell, suite: str) -> None:
    """Closed standard output and input; a full disk is told."""
    for rest, options in (
        (">&-", ("suite", "list")),
        ("<&-", ("suite", "list")),
        (">&- 2>&-", ("status",)),
        ("<&- >&- 2>&-", ("suite", "list", "--json")),
    ):
        code, _, said = sh(shell, rest, *options)
        assert (code, said) == (0, ""), (rest, options)
    code, _, said = sh(shell, ">/dev/full", "suite", "show", suite, "--json")
    assert code == 1
    assert "No space left on device" in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_letters_gets_others(shell: Shell, suite: str, encoding: str) -> None:
    for options in (("suite", "list"), ("suite", "show", suite, "--sequence", "s1")):
        done = subprocess.run(
            [sys.executable, "-m", "nightjar", *options],
            cwd=shell.folder,
            env=shell.environ({"PYTHONIOENCODING": encoding}),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), options
    shown = {"ascii": "Gr\\xf6\\xdfe \\u5927", "latin-1": "Größe \\u5927", "utf-8": "Größe 大"}[encoding]
    assert shown in done.stdout.decode(encoding)


def test_a_report_is_whole_whatever_the_streams_are(shell: Shell, tmp_path: Path) -> None:
    """Its charts too, with standard input closed; and a scorer's half a character becomes a question mark."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_scorers.py").write_text(SCORER)
    own = {"NIGHTJAR_SCORERS": "my_scorers:half", "PYTHONPATH": f"{PROJECT}{os.pathsep}{tmp_path / 'mine'}"}
    formats = [part for name in ("html", "json", "csv", "md") for part in ("--format", name)]
    options = ("--suite", "story-starters", "--model", "nightjar-demo", "--gpu", "none", "--name", "night", *formats)
    code, _, _ = sh(shell, "<&- >&-", "eval", *options, "--out", tmp_path / "closed", **own)
    assert code == 0
    code, _, _ = sh(shell, "</dev/null", "report", "night", *formats, "--out", tmp_path / "open", **own)
    assert code == 0
    pages = [(tmp_path / folder / "night.html").read_text().count("<svg") for folder in ("closed", "open")]
    assert pages[0] == pages[1] > 0
    data = json.loads((tmp_path / "closed" / "night.json").read_text())
    scores = [turn["scores"]["half"] for job in data["jobs"] for turn in job["turns"]]
    assert scores
    assert {(score["value"], score["answer"], score["reason"]) for score in scores} == {(1.0, "?", "half ? of it")}
    with (tmp_path / "closed" / "night.csv").open(newline="", encoding="utf-8") as file:
        assert {row["reason.half"] for row in csv.DictReader(file)} == {"half ? of it"}
