"""The files that hold a task's rows: `--data SPLIT=FILE`, Parquet, JSON Lines, JSON or CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nightjar.config.errors import SuiteError, UsageError, suggest
from nightjar.pipeline.suites.csv_text import parse_csv
from nightjar.pipeline.suites.harness.rendered import HarnessRows
from nightjar.pipeline.suites.harness.task import HarnessTask
from nightjar.pipeline.suites.json_text import parse_json, parse_json_lines
from nightjar.pipeline.suites.parquet_rows import read_parquet

Files = Mapping[str, Sequence[Path]]
ReadText = Callable[[Path], str]


TASK_PLACE, NAME_PLACE = "{task}", "{dataset_name}"
"""In the name of a group's file: what each task puts there."""


def group_files(tasks: Sequence[HarnessTask], given: Sequence[str], needed: Sequence[Sequence[str]]) -> list[Files]:
    """The files of each task. `needed`: the splits of each.

    `--data TASK:SPLIT=FILE` is one task's, `--data SPLIT=FILE` that of all that need the split and have none of their
    own. Raises UsageError for a split without a file, and for what no task needs.
    """
    names = [task.name for task in tasks]
    own: dict[str, list[str]] = {name: [] for name in names}
    general: list[str] = []
    for text in given:
        name, colon, rest = text.partition(":")
        (own[name] if colon and name in own else general).append(rest if colon and name in own else text)
    used: set[str] = set()
    found = []
    for task, splits in zip(tasks, needed, strict=True):
        taken = {text.partition("=")[0] for text in own[task.name]}
        shared = [text for text in general if (split := _split(text, task)) in splits and split not in taken]
        used.update(shared)
        found.append(data_files(task, [*own[task.name], *(_filled(text, task) for text in shared)], splits, group=True))
    for text in general:
        if text not in used:
            split = text.partition("=")[0].partition(":")[0]
            known = {*names, *(split for splits in needed for split in splits)}
            raise UsageError(
                f"--data {text}: no task of the group takes it. Say [TASK:]SPLIT=FILE. {suggest(split, known, 'one')}"
            )
    return found


def _split(text: str, task: HarnessTask) -> str:
    split, equals, _ = text.partition("=")
    return split if equals else task.asked


def _filled(text: str, task: HarnessTask) -> str:
    """The text with the task's name, and its data set's, in their places."""
    if NAME_PLACE in text:
        name = task.file.get("dataset_name")
        if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
            raise UsageError(
                f"--data {text}: {task.name} has no dataset_name that a file can be called by. Say "
                f"{task.name}:SPLIT=FILE."
            )
        text = text.replace(NAME_PLACE, name)
    return text.replace(TASK_PLACE, task.name)


def data_files(task: HarnessTask, given: Sequence[str], needed: Sequence[str], *, group: bool = False) -> Files:
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
        said = f"{task.name}:{absent[0]}=FILE" if group else f"{absent[0]}=FILE"
        raise UsageError(f"{task.name} needs --data {said}: the rows of that split are {what}.")
    return files


def read_data(files: Files, read_text: ReadText, limit_bytes: int) -> tuple[dict[str, HarnessRows], str]:
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
