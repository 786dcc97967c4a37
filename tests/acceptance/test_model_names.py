"""Two files never share one name, whatever they are called and wherever they lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_main_job import DEMO_MODEL
from tests.shell import Shell

pytestmark = pytest.mark.timeout(900)  # many commands, each with an interpreter of its own
SHORT = ("--suite", "story-starters", "--limit", "1", "--gpu", "none", "--format", "json")


def evaluated(shell: Shell, out: Path, *options: str | Path) -> tuple[Any, str]:
    """The report, and what was printed."""
    done = shell.run("eval", *SHORT, *options, "--out", out)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    (path,) = out.glob("*.json")
    return json.loads(path.read_text()), done.stdout


def test_twin_file_names_are_two_models_and_it_is_said(shell: Shell, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(DEMO_MODEL, tmp_path / folder / "x.gguf")
    files = [tmp_path / "a" / "x.gguf", tmp_path / "b" / "x.gguf"]
    report, printed = evaluated(shell, tmp_path / "out", "--model", files[0], "--model", files[1])
    assert [model["name"] for model in report["models"]] == ["x-a", "x-b"]
    assert {(job["model"], job["status"]) for job in report["jobs"]} == {("x-a", "DONE"), ("x-b", "DONE")}
    said = " ".join(printed.split())
    assert f"{files[0]} is called x-a here" in said
    assert f"{files[1]} is called x-b here" in said


def test_long_names_and_names_in_chinese(shell: Shell, tmp_path: Path) -> None:
    """Together they have names of files and logs; a run's name may have 100 characters."""
    files = [tmp_path / f"{name}.gguf" for name in ("模型", "大模型", "m" * 245)]
    for file in files:
        shutil.copy(DEMO_MODEL, file)
    given = [part for file in files for part in ("--model", file)]
    report, _ = evaluated(shell, tmp_path / "out", *given, "--name", "n" * 100)
    names = [model["name"] for model in report["models"]]
    assert len(set(names)) == 3
    assert "model" not in names
    assert {job["status"] for job in report["jobs"]} == {"DONE"}


@pytest.mark.parametrize("stems", [("写作", "数学"), ("Сказки", "Загадки"), ("c++", "c#")])
def test_suites_named_after_files_in_any_script_stay_apart(
    shell: Shell, tmp_path: Path, stems: tuple[str, str]
) -> None:
    suites = []
    for stem in stems:
        file = tmp_path / f"{stem}.jsonl"
        file.write_text(json.dumps({"question_id": 1, "category": "w", "turns": [f"Write about {stem}."]}) + "\n")
        suites.append(json.loads(shell.ok("suite", "import", file, "--format", "mt-bench", "--json"))["suite"])
    assert suites[0]["name"] != suites[1]["name"]
    assert [suite["version"] for suite in suites] == [1, 1]
