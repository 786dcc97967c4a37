"""A model that cannot be served holds up no other; the report says what is missing and why."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_main_job import DEMO_MODEL
from tests.fuzz.hostile import killer
from tests.shell import PROJECT, Shell

SHORT = ("--suite", "story-starters", "--limit", "1", "--gpu", "none", "--format", "json", "--format", "md")


def report_of(folder: Path) -> Any:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def statuses(report: Any, model: str) -> set[str]:
    return {job["status"] for job in report["jobs"] if job["model"] == model}


@pytest.mark.timeout(600)
def test_the_models_after_it_are_generated_and_the_same_command_tries_it_again(shell: Shell, tmp_path: Path) -> None:
    out, broken = tmp_path / "reports", killer(tmp_path)
    command = ("eval", *SHORT, "--model", broken, "--model", "nightjar-demo", "--name", "night", "--out", out)

    error = shell.refused(*command, code=1)
    assert "model 'killer' could not be served" in error
    assert signal.SIGABRT.name in error
    report = report_of(out)
    assert statuses(report, "nightjar-demo") == {"DONE"}
    assert statuses(report, "killer") == {"DEAD"}
    assert all("could not be served" in job["reason"] for job in report["jobs"] if job["model"] == "killer")
    (text,) = out.glob("*.md")
    assert "could not be served" in text.read_text()

    shutil.copy(DEMO_MODEL, broken)  # mended: another file of that name
    shell.ok(*command)
    assert statuses(report_of(out), "killer") == {"DONE"}


@pytest.mark.timeout(600)
def test_a_judge_that_cannot_be_served_leaves_the_replies(shell: Shell, tmp_path: Path) -> None:
    out, broken = tmp_path / "reports", killer(tmp_path)
    options = (
        "--model",
        "nightjar-demo",
        "--judge",
        broken,
        "--rubric",
        PROJECT / "config" / "rubrics" / "storybench.yaml",
        "--out",
        out,
    )
    error = shell.refused("eval", *SHORT, *options, code=1)
    assert "model 'killer' could not be served" in error
    report = report_of(out)
    assert statuses(report, "nightjar-demo") == {"DONE"}
    assert report["run"]["status"] == "DONE"
