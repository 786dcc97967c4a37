"""What `nightjar suite init` writes is a suite as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import UnknownNameError
from nightjar.config.packaged import packaged
from nightjar.pipeline.suites.read import read_suite
from nightjar.scripts.cli import main
from nightjar.scripts.enforceable import check_suite
from nightjar.scripts.options.rubric import read_rubric_file


@pytest.mark.parametrize("like", ["stories", "checks", "extract"])
def test_a_beginning_is_whole(
    like: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has checks in every sequence, and the next command is named; what is there already stays."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["suite", "init", "mine.yaml", "--like", like])
    assert end.value.code == 0
    assert "nightjar suite validate mine.yaml" in capsys.readouterr().out
    content = check_suite(read_suite(tmp_path / "mine.yaml"))
    assert content.name == "mine"
    assert all(any(turn.expect for turn in sequence.turns) for sequence in content.sequences)
    with pytest.raises(SystemExit) as end:
        main(["suite", "init", "mine.yaml"])
    assert end.value.code == 2
    assert "is there already" in capsys.readouterr().err


def test_beginnings_are_offered_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(packaged("starts")) == {"stories", "checks", "extract"}
    with pytest.raises(SystemExit):
        main(["suite", "init", "--like", "storys"])
    assert "Did you mean 'stories'?" in capsys.readouterr().err


def test_a_rubric_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes with Nightjar; a file of that name goes before it; a wrong name is answered with the nearest."""
    monkeypatch.chdir(tmp_path)
    assert read_rubric_file(Path("pairwise")) == read_rubric_file(packaged("rubrics")["pairwise"])
    with pytest.raises(UnknownNameError, match=r"no rubric 'pairwize'\. Did you mean 'pairwise'\?"):
        read_rubric_file(Path("pairwize"))
    (tmp_path / "pairwise").write_text(packaged("rubrics")["storybench"].read_text())
    assert read_rubric_file(Path("pairwise"))["name"] == "storybench"
