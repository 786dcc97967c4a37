"""Which tasks, groups and tags the files beside a group have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightjar.pipeline.suites.harness.task_file import TaskFile


@dataclass(frozen=True, kw_only=True)
class TaskIndex:
    """What a group may name. `tags`: tag -> the tasks that have it; `unread`: why files were passed over."""

    folder: str
    tasks: Mapping[str, TaskFile]
    groups: Mapping[str, TaskFile]
    tags: Mapping[str, Sequence[str]]
    unread: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Everything that can be named."""
        return [*self.tasks, *self.groups, *self.tags]

    def knows(self, name: str) -> bool:
        """Whether a file has a task, a group or a tag of that name."""
        return name in self.tasks or name in self.groups or name in self.tags


def task_index(folder: str, files: Iterable[TaskFile], unread: Sequence[str]) -> TaskIndex:
    """The index of these files, in their order: of two of one name the first counts, as in the harness."""
    tasks: dict[str, TaskFile] = {}
    groups: dict[str, TaskFile] = {}
    tags: dict[str, list[str]] = {}
    for file in files:
        group, task = file.get("group"), file.get("task")
        if isinstance(group, str) and "class" not in file:
            groups.setdefault(group, file)
        elif isinstance(task, str) and task not in tasks:
            tasks[task] = file
            given = file.get("tag", [])
            for tag in given if isinstance(given, list) else [given]:
                if isinstance(tag, str):
                    tags.setdefault(tag, []).append(task)
    return TaskIndex(folder=folder, tasks=tasks, groups=groups, tags=tags, unread=unread)
