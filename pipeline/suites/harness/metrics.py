"""How a task's answers are counted: its metrics and filters as metrics and checks of ours. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.jobs.sequences import Expectation
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.suites.harness.task import HarnessTask, OutputType
from nightjar.pipeline.suites.harness.task_file import TaskFile
from nightjar.pipeline.suites.located import Path
from nightjar.pipeline.suites.yaml_text import CodeReference

EXACT_MATCH = "exact_match"
UNFILTERED = "none"
"""What the harness calls the filter of a task that names none."""
OURS: Mapping[OutputType, Mapping[str, str]] = {
    OutputType.CHOICE: {"acc": "acc", "acc_norm": "acc_norm", "acc_bytes": "acc_bytes"},
    OutputType.LIKELIHOOD: {"acc": "greedy", "perplexity": "target_perplexity"},
    OutputType.ROLLING: {name: name for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")},
    OutputType.WRITTEN: {EXACT_MATCH: "extract"},
}
"""Their name -> ours; also what a task without a list of metrics has."""
_SUMS = {
    "perplexity": "perplexity",
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
}
"""How each metric is added up, where it is not the mean."""
_SAID = ("metric", "aggregation", "higher_is_better")
_EXACT = {
    "ignore_case": "ignore_case",
    "ignore_punctuation": "ignore_punctuation",
    "ignore_numbers": "ignore_digits",
    "regexes_to_ignore": "ignore",
}
"""Of an exact match: their field -> ours."""
_REGEX = {"regex_pattern": "pattern", "group_select": "match", "fallback": "otherwise"}
_USUAL_PATTERN = r"#### (\-?[0-9\.\,]+)"
"""The harness' own, where a filter names none."""
_WHOLE = r"(?s)\A(.*)\Z"
"""Finds the whole reply, without white space at its ends."""


@dataclass(frozen=True, kw_only=True)
class Counting:
    """`primary`: the first metric; `checks`: (check, its argument without the answer) of a written reply.

    `named`: (metric, filter) as the harness calls them -> ours.
    """

    primary: str | None
    checks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    named: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def expectations(self, answer: Any) -> tuple[Expectation, ...]:
        """What a reply is checked for. Raises ValueError for an answer that no check can take."""
        expectations = tuple(
            Expectation(check=check, value={"answer": answer, **argument}) for check, argument in self.checks
        )
        for expectation in expectations:
            validate_check(expectation.check, expectation.value)
        return expectations


def read_counting(task: HarnessTask) -> Counting:
    """The task's metrics. What is none of ours is refused, or left out. Raises SuiteError."""
    file = task.file
    known = OURS[task.output]
    given = file.get("metric_list")
    if given is None:
        given = [{"metric": name} for name in known]
    if not isinstance(given, list) or not given:
        raise file.error(("metric_list",), "must be a list of metrics.")
    taken: dict[str, Mapping[str, Any]] = {}
    named: dict[tuple[str, str], str] = {}
    for at, metric in enumerate(given):
        with file.source.gathered.part():
            name = _metric(file, ("metric_list", at), metric, task.output)
            taken[known[name]] = metric
            named[name, UNFILTERED] = known[name]
    checks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    if task.output is OutputType.WRITTEN and "extract" in taken:
        exact = {ours: taken["extract"][name] for name, ours in _EXACT.items() if taken["extract"].get(name)}
        filters = list(_filters(file))
        checks = tuple((check, {**exact, **found}) for _, check, found in filters)
        named = {(EXACT_MATCH, name): check for name, check, _ in filters}
    elif file.get("filter_list") is not None:
        with file.source.gathered.part():
            raise file.unsupported(("filter_list",), "filters are read where replies are written and matched exactly.")
    _check_repeats(file)
    file.source.gathered.check()
    return Counting(primary=next(iter(taken), None), checks=checks, named=named)


def _metric(file: TaskFile, path: Path, metric: Any, output: OutputType) -> str:
    """The metric's name. Raises UnsupportedError for one that is not ours."""
    known = OURS[output]
    if not isinstance(metric, Mapping):
        raise file.error(path, "must be a mapping with `metric`.")
    name = metric.get("metric")
    if isinstance(name, CodeReference) or name not in known:
        said = name.words if isinstance(name, CodeReference) else f"there is no {name!r} here"
        raise file.unsupported((*path, "metric"), f"{said}; tasks of this kind have {', '.join(known)}.")
    usual = _SUMS.get(str(name), "mean")
    if (how := metric.get("aggregation", usual)) != usual:
        raise file.unsupported((*path, "aggregation"), f"{name} is added up by {usual} here, not by {how!r}.")
    further = (*_SAID, *_EXACT)
    for key in metric if output is OutputType.WRITTEN else ():  # of likelihoods the harness reads no further field
        if key not in further:
            raise file.unsupported((*path, key), f"{key!r} of {name} cannot be used; there are {', '.join(further)}.")
    return str(name)


def _filters(file: TaskFile) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(filter, check, what it looks for) of each way of reading a reply; the whole reply where the task names none."""
    given = file.get("filter_list")
    if given is None:
        yield UNFILTERED, "extract", {}
        return
    if not isinstance(given, list):
        raise file.error(("filter_list",), "must be a list of filters.")
    named: set[str] = set()
    for at, one in enumerate(given):
        path: Path = ("filter_list", at)
        with file.source.gathered.part():
            name = one.get("name") if isinstance(one, Mapping) else None
            check = "extract_flexible" if "flexible" in str(name) else "extract"
            if check in named:
                raise file.unsupported(
                    path,
                    f"two filters ({name!r} is the second) would give one number; Nightjar reads one strict and one "
                    "flexible.",
                )
            found = _steps(file, (*path, "filter"), one.get("filter") if isinstance(one, Mapping) else None)
            named.add(check)
            yield str(name), check, found


def _steps(file: TaskFile, path: Path, steps: Any) -> Mapping[str, Any]:
    """What a filter's functions find: at most one pattern. Raises UnsupportedError for any other."""
    found: dict[str, Any] = {}
    for at, step in enumerate(steps if isinstance(steps, list) else []):
        called = step.get("function") if isinstance(step, Mapping) else None
        if called == "regex" and not found and all(key in (*_REGEX, "function") for key in step):
            found = {ours: step[name] for name, ours in _REGEX.items() if name in step}
            found = {"pattern": _USUAL_PATTERN} | found
        elif called == "remove_whitespace":  # what a pattern finds has none at its ends
            found = found or {"pattern": _WHOLE}
        elif called != "take_first":
            raise file.unsupported(
                (*path, at), f"{called!r} cannot be used here; there are one regex, remove_whitespace and take_first."
            )
    return found


def _check_repeats(file: TaskFile) -> None:
    if (repeats := file.get("repeats", 1)) != 1:
        with file.source.gathered.part():
            raise file.unsupported(
                ("repeats",), f"{repeats!r} replies to each question: a run says that itself, with --repeats."
            )
