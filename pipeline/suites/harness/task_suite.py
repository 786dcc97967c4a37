"""A task's or a group's file, the files that it names, and the rows that are given with it: as a suite."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.file_text import MAX_FILE_BYTES, file_text
from nightjar.pipeline.suites.harness.build import splits_of, suite_of_task
from nightjar.pipeline.suites.harness.data import Files, data_files, group_files, read_data
from nightjar.pipeline.suites.harness.group import is_group, read_group
from nightjar.pipeline.suites.harness.group_index import TaskIndex, task_index
from nightjar.pipeline.suites.harness.group_suite import read_tasks, suite_of_group
from nightjar.pipeline.suites.harness.rendered import RowRenderer
from nightjar.pipeline.suites.harness.task import HarnessTask, read_task
from nightjar.pipeline.suites.harness.task_file import TaskFile, task_file
from nightjar.pipeline.suites.located import Located
from nightjar.pipeline.suites.yaml_text import parse_yaml

MAX_DATA_BYTES = 256 * 2**20
"""Of rows that a task asks, unpacked."""
MOST_FILES = 3_000
MOST_FOLDERS = 1_000


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """What a task of lm-evaluation-harness needs beside its file."""

    files: Sequence[str]
    """SPLIT=FILE, or FILE where the task needs one split; of a group TASK:SPLIT=FILE, too."""
    renderer: RowRenderer
    shots: int | None = None
    """None: the task's own number of examples."""


def read_harness(source: Located, path: Path, given: TaskData) -> SuiteContent:
    """The suite of a task, or of a group of them. Raises SuiteError, UsageError."""
    file = task_file(source, str(path), _included)
    if is_group(file):
        return _group_content(file, path, given)
    task = read_task(file, given.shots)
    return _task_content(task, data_files(task, given.files, splits_of(task)), given)


def _group_content(file: TaskFile, path: Path, given: TaskData) -> SuiteContent:
    group = read_group(file, str(path), _index(path), _included)
    tasks = read_tasks(group, given.shots)
    files = group_files(tasks, given.files, [splits_of(task) for task in tasks])
    suites = [_task_content(task, of_task, given) for task, of_task in zip(tasks, files, strict=True)]
    told = "; ".join(f"{task.name}: {suite.source}" for task, suite in zip(tasks, suites, strict=True))
    return suite_of_group(group, tasks, suites).model_copy(update={"source": told})


def _task_content(task: HarnessTask, files: Files, given: TaskData) -> SuiteContent:
    rows, told = read_data(files, lambda file: file_text(file, file.name, MAX_DATA_BYTES), MAX_DATA_BYTES)
    content = suite_of_task(task, rows, given.renderer)
    return content.model_copy(update={"source": told})


def _included(within: str, name: str) -> tuple[str, Located]:
    """A file that a task includes, by its place beside the one that names it."""
    try:
        file = (Path(within).parent / name).resolve()
        file.exists()
    except (OSError, ValueError):  # no name that a file can have
        raise SuiteError(f"{name[:100]!r} cannot be read.") from None
    return str(file), parse_yaml(file_text(file, name, MAX_FILE_BYTES), file.name, code=True)


def _index(group: Path) -> TaskIndex:
    """The tasks, groups and tags of the files beside a group's, and below."""
    folder = group.resolve().parent
    files: list[TaskFile] = []
    unread: list[str] = []
    for path in _yaml_files(folder):
        try:
            name = str(path.relative_to(folder))
            source = parse_yaml(file_text(path, name, MAX_FILE_BYTES), name, code=True)
            files.append(task_file(source, str(path), _included))
        except SuiteError as error:
            unread.append(str(error))
    return task_index(folder.name or str(folder), files, unread)


def _yaml_files(folder: Path) -> Iterator[Path]:
    """In the order that the harness takes them. Raises SuiteError where a folder has too many."""
    found: list[Path] = []
    for number, (inside, folders, names) in enumerate(os.walk(folder)):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        found += [Path(inside) / name for name in names if name.endswith(".yaml")]
        if len(found) > MOST_FILES or number >= MOST_FOLDERS:
            raise SuiteError(
                f"{folder}, where the group's tasks are looked for, has more than {MOST_FILES:,} YAML files or "
                f"{MOST_FOLDERS:,} folders. Put the group and its tasks into a folder of their own."
            )
    yield from sorted(found, key=lambda path: path.as_posix())
