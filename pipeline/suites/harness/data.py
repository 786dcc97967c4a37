"""The files that hold a task's rows: `--data SPLIT=FILE`, Parquet, JSON Lines, JSON or CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nightjar.config.errors import SuiteError, UsageError, suggest
from nightjar.pipeline.suites.csv_text import parse_csv
from nightjar.pipeline.suites.harness.rendered import Rows
from nightjar.pipeline.suites.harness.task import HarnessTask
from nightjar.pipeline.suites.json_text import parse_json, parse_json_lines
from nightjar.pipeline.suites.parquet_rows import read_parquet

Files = Mapping[str, Sequence[Path]]
ReadText = Callable[[Path], str]


def data_files(task: HarnessTask, given: Sequence[str], needed: Sequence[str]) -> Files:
    """The files of each needed split. Raises UsageError for a split without one, or for another split."""
    files: dict[str, list[Path]] = {}
    for text in given:
        split, equals, name = text.partition("=")
        if not equals:
            split, name = task.asked, text
        if split not in needed:
            raise UsageError(f"--data {text}: {task.name} needs no split {split!r}. {suggest(split, needed, 'split')}")
        files.setdefault(split, []).append(Path(name))
    if absent := [split for split in needed if split not in files]:
        what = "asked" if absent[0] == task.asked else "taken as examples (fewer with --shots)"
        raise UsageError(f"{task.name} needs --data {absent[0]}=FILE: the rows of that split are {what}.")
    return files


def read_data(files: Files, read_text: ReadText, limit_bytes: int) -> tuple[dict[str, Rows], str]:
    """(split -> rows, the files with their digests in words). Raises SuiteError."""
    rows: dict[str, list[object]] = {}
    told: list[str] = []
    for split, paths in files.items():
        for path in paths:
            rows.setdefault(split, []).extend(_rows(path, read_text, limit_bytes))
            told.append(f"{path.name} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]})")
    for split, found in rows.items():
        for number, row in enumerate(found):
            if not isinstance(row, Mapping):
                raise SuiteError(f"Row {number} of the split {split!r} has no fields. Give a file of rows with fields.")
    return rows, ", ".join(told)  # type: ignore[return-value]  # each row was looked at


def _rows(path: Path, read_text: ReadText, limit_bytes: int) -> Sequence[object]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path, limit_bytes)
    parse = {".csv": parse_csv, ".json": parse_json, ".jsonl": parse_json_lines, ".ndjson": parse_json_lines}.get(
        suffix
    )
    if parse is None:
        raise UsageError(f"--data {path}: rows are read from .parquet, .jsonl, .ndjson, .json and .csv.")
    found = parse(read_text(path), path.name).data
    if not isinstance(found, list):
        raise SuiteError(f"{path.name} holds no list of rows. Save them as JSON Lines.")
    return found
