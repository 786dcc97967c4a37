"""A group and the suites of its tasks as one suite: its tasks are the parts that its averages are taken over. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nightjar.config.counting import how_many
from nightjar.config.errors import SuiteError
from nightjar.jobs.names import made_name
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.averages import WHOLE, metric_cannot
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.harness.group import Aggregate, TaskGroup
from nightjar.pipeline.suites.harness.metrics import read_counting
from nightjar.pipeline.suites.harness.task import HarnessTask, read_task
from nightjar.pipeline.suites.located import Gathered
from nightjar.pipeline.suites.names import tag_of

LONGEST_AVERAGE = 60
LONGEST_ID = 100


@dataclass(frozen=True, kw_only=True)
class GroupAverage:
    """An average of ours. `parts`: the tasks that are counted in it."""

    name: str
    parts: frozenset[str]
    by_size: bool


def read_tasks(group: TaskGroup, shots: int | None) -> list[HarnessTask]:
    """The group's tasks. Raises SuiteError with every error of every task."""
    mine = group.source.gathered
    tasks: list[HarnessTask] = []
    for file in group.tasks():
        gathered = Gathered(skipping=mine.skipping)
        file = replace(file, source=replace(file.source, gathered=gathered))
        try:
            tasks.append(read_task(file, shots))
        except SuiteError as error:
            mine.errors += gathered.errors or [error]
    mine.check()
    return tasks


def suite_of_group(group: TaskGroup, tasks: Sequence[HarnessTask], suites: Sequence[SuiteContent]) -> SuiteContent:
    """The suite of all. `suites`: each task's, in the same order. Raises SuiteError where no average can be taken."""
    averages: dict[str, GroupAverage] = {}
    notes: list[str] = []
    named = {task.name: read_counting(task).named for task in tasks}
    for inner in group.groups():
        for aggregate in inner.aggregates:
            with group.source.gathered.part():
                for average, note in _averages(inner, aggregate, named):
                    if average.name in averages:
                        raise aggregate.source.error(aggregate.path, f"there is another average {average.name!r}.")
                    averages[average.name] = average
                    notes += note
    _keep_left_out(group, tasks)
    group.source.gathered.check()
    within = _groups_of_tasks(group)
    primary = {suite.primary_metric for suite in suites}
    first = next(iter(averages), None) if group.aggregates else None
    return SuiteContent(
        name=made_name(group.name, marks="._-", longest=100, otherwise="group").rstrip("._-"),
        description=f"lm-evaluation-harness' group {group.name}, {how_many(len(tasks), 'task')}.",
        tags=tuple(dict.fromkeys(tag for suite in suites for tag in suite.tags)),
        sequences=tuple(
            _in_group(sequence, task, suite, within[task.name], averages.values())
            for task, suite in zip(tasks, suites, strict=True)
            for sequence in suite.sequences
        ),
        primary_metric=first or (primary.pop() if len(primary) == 1 else None),
        notes=tuple(notes),
    )


def _averages(
    group: TaskGroup, aggregate: Aggregate, named: Mapping[str, Mapping[tuple[str, str], str]]
) -> Iterator[tuple[GroupAverage, list[str]]]:
    """The averages of one metric, each with what is to be told of it. Raises UnsupportedError."""
    inside = [str(task.get("task")) for task in group.tasks()]
    metric = aggregate.metric
    known = dict.fromkeys(way for task in inside for (name, way) in named[task] if name == metric)
    for way in aggregate.filters or known or ("none",):
        ours = {task: named[task][metric, way] for task in inside if (metric, way) in named[task]}
        called = _called(metric, way)
        if not ours:
            has = dict.fromkeys(_called(*each) for task in inside for each in named[task])
            raise aggregate.source.unsupported(
                aggregate.path, f"no task of the group {group.name} has {called}; they have {', '.join(has) or 'none'}."
            )
        if len(set(ours.values())) > 1:
            raise aggregate.source.unsupported(
                aggregate.path, f"{called} is {' here and '.join(dict.fromkeys(ours.values()))} there: no one average."
            )
        mine = next(iter(ours.values()))
        if problem := metric_cannot(mine):
            raise aggregate.source.unsupported(aggregate.path, problem)
        short = made_name(group.name, marks="_-", longest=LONGEST_AVERAGE, otherwise="group")
        without = [task for task in inside if task not in ours]
        average = GroupAverage(name=f"{mine}.{short}", parts=frozenset(ours), by_size=aggregate.by_size)
        yield average, [f"{average.name} has nothing of {task}, which has no {called}." for task in without]


def _groups_of_tasks(group: TaskGroup) -> dict[str, list[str]]:
    """Task -> the inner groups that it is in."""
    within: dict[str, list[str]] = {str(task.get("task")): [] for task in group.tasks()}
    for inner in group.groups():
        if inner is not group:
            for task in inner.tasks():
                within[str(task.get("task"))].append(inner.name)
    return within


def _in_group(
    sequence: PromptSequence,
    task: HarnessTask,
    suite: SuiteContent,
    groups: Sequence[str],
    averages: Collection[GroupAverage],
) -> PromptSequence:
    identity = f"{suite.name}.{sequence.id}"
    if len(identity) > LONGEST_ID:
        raise task.file.error(("task",), f"{identity!r} is longer than {LONGEST_ID} characters. Shorten the name.")
    tags = (suite.name, *(tag for name in groups for tag in tag_of(name)), *suite.tags)
    counted = {one.name: WHOLE if one.by_size else suite.name for one in averages if task.name in one.parts}
    return sequence.model_copy(update={"id": identity, "tags": tuple(dict.fromkeys(tags)), "averages": counted})


def _keep_left_out(group: TaskGroup, tasks: Sequence[HarnessTask]) -> None:
    """What was left out of tasks is left out of the group."""
    mine = group.source.gathered.left_out
    mine += dict.fromkeys(text for task in tasks for text in task.file.source.gathered.left_out if text not in mine)


def _called(metric: str, way: str) -> str:
    """The metric as people read it; with the filter that the replies go through, if it has a name."""
    return metric if way == "none" else f"{metric} ({way})"
