"""A group of lm-evaluation-harness' tasks: which tasks it has, what it changes in them, how it sums them up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.suites.harness.group_index import TaskIndex
from nightjar.pipeline.suites.harness.task_file import ReadInclude, TaskFile, task_file
from nightjar.pipeline.suites.located import Gathered, Located, Path
from nightjar.pipeline.suites.yaml_text import CodeReference

STRUCTURE = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag")
"""What a group says of itself; each other field stands in the place of its tasks' own."""
MOST_TASKS = 1_000
MOST_NAMED = 5_000
"""Tasks and groups, those of inner groups included: groups may name each other again and again."""
DEEPEST = 10
"""Groups within groups."""
_AGGREGATE = ("metric", "aggregation", "weight_by_size", "filter_list")
_OWN = ("include", "dataset_path", "output_type", "doc_to_text", "doc_to_target")
"""What tells a task that is written in the group itself from the name of one in a file."""


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A metric that a group sums up over its tasks. `filters`: None for all that its tasks have."""

    source: Located
    path: Path
    metric: str
    by_size: bool
    """Whether questions count alike, and not tasks."""
    filters: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class TaskGroup:
    """A group. `members`: its tasks, with what it changes in them, and the groups inside it, in its order."""

    name: str
    source: Located
    members: tuple[TaskFile | TaskGroup, ...]
    aggregates: tuple[Aggregate, ...]

    def tasks(self) -> Iterator[TaskFile]:
        """Every task, those of inner groups included."""
        for member in self.members:
            if isinstance(member, TaskGroup):
                yield from member.tasks()
            else:
                yield member

    def groups(self) -> Iterator[TaskGroup]:
        """This group, and every group inside it."""
        yield self
        for member in self.members:
            if isinstance(member, TaskGroup):
                yield from member.groups()


def is_group(file: TaskFile) -> bool:
    """Whether the file names several tasks."""
    return "group" in file or isinstance(file.get("task"), list)


def read_group(file: TaskFile, name: str, index: TaskIndex, read: ReadInclude) -> TaskGroup:
    """The group. `name`: its file, as `read` takes it; `index`: the tasks that it may name.

    Raises SuiteError, also for a task that is nowhere and for one that is named twice.
    """
    gathered = file.source.gathered
    reader = _Reader(index=index, read=read, name=name, gathered=gathered)
    group = reader.group(file, {}, ())
    if reader.named[0] > MOST_NAMED:
        raise file.error(("task",), f"the group and those inside it name more than {MOST_NAMED:,} tasks and groups.")
    gathered.check()
    seen: set[str] = set()
    tasks = list(group.tasks())
    if not tasks:
        raise file.error(("task",), "the group has no task.")
    if len(tasks) > MOST_TASKS:
        raise file.error(("task",), f"the group has {len(tasks)} tasks; at most {MOST_TASKS:,} can be one suite.")
    for task in tasks:
        called = str(task.get("task"))
        if called in seen:
            raise file.error(("task",), f"the task {called!r} is named twice, and would count twice.")
        seen.add(called)
    return group


@dataclass(frozen=True, kw_only=True)
class _Reader:
    index: TaskIndex
    read: ReadInclude
    name: str
    gathered: Gathered
    """Of every file: a group's own says nothing of those inside it."""
    named: list[int] = field(default_factory=lambda: [0])

    def group(self, file: TaskFile, above: Mapping[str, Located], over: tuple[str, ...]) -> TaskGroup:
        """`above`: fields that stand in the place of the tasks' own; `over`: the groups that this one is inside."""
        name = file.get("group")
        if not isinstance(name, str) or isinstance(name, CodeReference):
            raise file.error(("group",), "a list of tasks needs the name of their group here.")
        if name in over or len(over) >= DEEPEST:
            what = "is inside itself" if name in over else f"lies more than {DEEPEST} groups deep"
            raise file.error(("group",), f"the group {name!r} {what}.")
        given = file.get("task")
        if not isinstance(given, list):
            raise file.error(
                ("task",),
                "a group has a list of tasks. In the file of one task of an older version, call `group` `tag`.",
            )
        own = {key: place for key, place in file.places.items() if key not in STRUCTURE}
        members: list[TaskFile | TaskGroup] = []
        place = file.places["task"]
        for at, member in enumerate(given):
            self.named[0] += 1
            if self.named[0] > MOST_NAMED:
                break
            with self.gathered.part():
                members += self._members(place, ("task", at), member, {**own, **above}, (*over, name))
        aggregates = tuple(self._aggregates(file))
        return TaskGroup(name=name, source=file.source, members=tuple(members), aggregates=aggregates)

    def _members(
        self, source: Located, path: Path, member: Any, above: Mapping[str, Located], over: tuple[str, ...]
    ) -> list[TaskFile | TaskGroup]:
        if isinstance(member, str) and not isinstance(member, CodeReference):
            return self._named(source, path, member, above, over)
        if not isinstance(member, Mapping):
            raise source.error(path, "takes the name of a task or of a group, or a mapping with `task` or `group`.")
        inner = source.inside(path)
        in_itself = "group" not in member and not self.index.knows(str(member.get("task")))
        if "include" in member and not in_itself:
            raise inner.error(("include",), "files are included by tasks and by files of groups, not here.")
        if "group" in member and "task" in member:
            places = dict.fromkeys(member, inner)
            return [self.group(TaskFile(source=inner, places=places), above, over)]
        called = "group" if "group" in member else "task"
        name = member.get(called)
        if not isinstance(name, str) or isinstance(name, CodeReference):
            raise source.error(path, "a mapping needs the name of a task or of a group: `task` or `group`.")
        changed = {**above, **{key: inner for key in member if key not in STRUCTURE}}
        if in_itself and any(key in member for key in _OWN):
            written = task_file(inner, self.name, self.read)
            return [_changed(_changed(written, above), {key: inner for key in member if key != "include"})]
        return self._named(inner, (called,), name, changed, over)

    def _named(
        self, source: Located, path: Path, name: str, changed: Mapping[str, Located], over: tuple[str, ...]
    ) -> list[TaskFile | TaskGroup]:
        if name in self.index.tasks:
            return [_changed(self.index.tasks[name], changed)]
        if name in self.index.groups:
            return [self.group(self.index.groups[name], changed, over)]
        if name in self.index.tags:
            return [_changed(self.index.tasks[task], changed) for task in sorted(self.index.tags[name])]
        raise source.error(path, self._nowhere(name))

    def _nowhere(self, name: str) -> str:
        unread = ""
        if self.index.unread:
            unread = f" Not readable there: {'; '.join(self.index.unread[:3])}"
        near = suggest(name, self.index.names, "task")
        return (
            f"no file in {self.index.folder} or below has the task, group or tag {name!r}. Put its file there. "
            f"{near}{unread}"
        )

    def _aggregates(self, file: TaskFile) -> Iterator[Aggregate]:
        """What the group sums up; what is no mean is left out, or refused."""
        given = file.get("aggregate_metric_list", [])
        place = file.places.get("aggregate_metric_list", file.source)
        many: Sequence[tuple[Path, Any]] = [(("aggregate_metric_list",), given)]
        if isinstance(given, list):
            many = [(("aggregate_metric_list", at), aggregate) for at, aggregate in enumerate(given)]
        for path, aggregate in many:
            with self.gathered.part():
                yield _aggregate(place, path, aggregate)


def _changed(task: TaskFile, over: Mapping[str, Located]) -> TaskFile:
    """The task with fields in the place of its own."""
    return replace(task, places={**task.places, **over})


def _aggregate(source: Located, path: Path, given: Any) -> Aggregate:
    if not isinstance(given, Mapping) or "metric" not in given:
        raise source.error(path, "must be a mapping with `metric`.")
    for key in given:
        if key not in _AGGREGATE:
            raise source.error((*path, key), f"{key!r} cannot be used; Nightjar reads {', '.join(_AGGREGATE)}.")
    metric, how = given["metric"], given.get("aggregation", "mean")
    if isinstance(metric, CodeReference) or isinstance(how, CodeReference) or how != "mean":
        said = next((one.words for one in (metric, how) if isinstance(one, CodeReference)), f"there is no {how!r} here")
        raise source.unsupported(path, f"{said}; groups are summed up by mean.")
    by_size = given.get("weight_by_size", True)
    if not isinstance(by_size, bool):
        raise source.error((*path, "weight_by_size"), f"must be true or false, not {by_size!r}.")
    filters = given.get("filter_list")
    named = [filters] if isinstance(filters, str) else filters
    if named is not None and not (isinstance(named, list) and all(isinstance(one, str) for one in named)):
        raise source.error((*path, "filter_list"), "takes the name of a filter, or a list of them.")
    return Aggregate(
        source=source,
        path=path,
        metric=str(metric),
        by_size=by_size,
        filters=None if named is None else tuple(named),
    )
