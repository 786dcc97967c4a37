"""Files: all or none, and an error that says what to do."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import OutputError, UsageError
from nightjar.pipeline.exports import lm_eval
from nightjar.pipeline.exports.file import ExportFile, ExportOptions
from nightjar.pipeline.exports.write import check_formats, not_written, write_exports
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats import files as module
from nightjar.pipeline.report.formats.files import check_folder
from tests.factories import synthetic_report


def test_writes_what_is_asked(tmp_path: Path) -> None:
    """One file per format, in that order, in a folder that is made; nothing else lies there."""
    folder = tmp_path / "deep" / "reports"
    paths = write_exports(synthetic_report(repeats=1), ["csv", "md", "csv"], folder)
    assert [path.name for path in paths] == ["nightly-2026-11-20.csv", "nightly-2026-11-20.md"]
    assert sorted(folder.iterdir()) == sorted(paths)


def test_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills in the second format: the old files stay as they were, and no draft is left."""
    report = synthetic_report(repeats=1)
    (tmp_path / "nightly-2026-11-20.md").write_text("old")

    def fill(path: Path, pieces: Iterator[str]) -> None:
        path.write_text(next(pieces))
        if ".csv." in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_fill", fill)
    with pytest.raises(OutputError, match=r"No space left on device.*--out DIR"):
        write_exports(report, ["md", "csv"], tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("nightly-2026-11-20.md", "old")]


@pytest.mark.parametrize("kind", ["file in the way", "no right to write"])
def test_unwritable_folder(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder should be; no right to write (played: root may write anywhere)."""
    folder = tmp_path / "reports"
    if kind == "file in the way":
        folder.write_text("x")
    else:
        monkeypatch.setattr(Path, "touch", _denied)
        monkeypatch.setattr(module, "_fill", _denied)
    for act in (lambda: check_folder(folder), lambda: write_exports(synthetic_report(repeats=1), ["md"], folder)):
        with pytest.raises(OutputError, match=r"cannot be written to .*reports: .*--out DIR"):
            act()
    assert not folder.is_dir() or list(folder.iterdir()) == []


def test_formats() -> None:
    """Each once, with lists split; an unknown format is refused with the nearest name."""
    assert check_formats(["html,CSV", "html"]) == ["html", "csv"]
    with pytest.raises(UsageError, match=r"'jsn'.*'json'"):
        check_formats(["jsn"])


def _denied(*_: Any, **__: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_format_that_cannot_be_made_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pyarrow here: the page and the CSV are written, and it is said what was not and why."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    left_out: dict[str, UsageError] = {}
    report = synthetic_report(repeats=1)
    paths = write_exports(report, ["html", "parquet", "csv"], tmp_path, left_out=left_out.__setitem__)
    assert [path.suffix for path in paths] == [".html", ".csv"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    said = not_written(left_out)
    assert said.startswith("Not written: parquet. The format parquet needs pyarrow, which is not installed.")


def test_an_export_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails at its second file leaves none of its files."""

    def half(report: RunReport, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
        yield ExportFile(path="half.txt", pieces=["first"])
        raise UsageError("there is no second")

    monkeypatch.setattr(lm_eval, "lm_eval_files", half)
    left_out: dict[str, UsageError] = {}
    report = synthetic_report(repeats=1)
    paths = write_exports(report, ["lm-eval", "md"], tmp_path, left_out=left_out.__setitem__)
    assert [path.name for path in paths] == [path.name for path in tmp_path.iterdir()] == ["nightly-2026-11-20.md"]
    assert not_written(left_out) == "Not written: lm-eval. there is no second"
