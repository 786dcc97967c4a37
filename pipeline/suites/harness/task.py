"""The declared subset of lm-evaluation-harness' task files: which fields are read, and what they may hold. Pure.

What shapes a prompt and lies outside the subset is refused; what only says how answers are counted can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightjar.pipeline.suites.harness.rendered import HarnessRow, TaskField
from nightjar.pipeline.suites.harness.task_file import TaskFile
from nightjar.pipeline.suites.located import Path
from nightjar.pipeline.suites.yaml_text import CodeReference

READ = (
    "task tag include output_type test_split validation_split training_split fewshot_split doc_to_text doc_to_target "
    "doc_to_choice description gen_prefix target_delimiter fewshot_delimiter fewshot_config num_fewshot "
    "generation_kwargs metric_list filter_list repeats"
).split()
PASSED_OVER = (
    "task_alias dataset_path dataset_name dataset_kwargs metadata should_decontaminate doc_to_decontamination_query "
    "unsafe_code"
).split()
"""Where the data lies in the hub, and what changes no prompt and no score."""
LEFT_OUT = {
    "process_docs": "rows are read as they are. Give --data rows that hold what it makes of them",
    "process_results": "answers are counted as `metric_list` says without it",
}
"""Fields that `--skip-unsupported` leaves out, and what then counts."""
FEWSHOT = (
    "sampler split samples doc_to_text doc_to_target doc_to_choice gen_prefix fewshot_delimiter target_delimiter "
    "process_docs"
).split()
DEFAULT_SHOTS = 0


class OutputType(StrEnum):
    """What a task asks the model for."""

    CHOICE = "multiple_choice"
    LIKELIHOOD = "loglikelihood"
    ROLLING = "loglikelihood_rolling"
    WRITTEN = "generate_until"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """How a task's examples are taken and written."""

    count: int
    first: bool
    """The first ones; else drawn."""
    split: str | None
    samples: tuple[HarnessRow, ...]
    """Given in the task itself, in the place of a split."""
    fields: Mapping[str, TaskField]
    target_delimiter: str
    delimiter: str
    task_delimiter: str
    """The task's own, where the examples have another."""


@dataclass(frozen=True, kw_only=True)
class HarnessTask:
    """A task of the subset."""

    file: TaskFile
    name: str
    tags: tuple[str, ...]
    output: OutputType
    asked: str
    """The split whose rows are asked."""
    skips_itself: bool
    """A question is left out of its own examples, and one more is drawn for it."""
    fields: Mapping[str, TaskField]
    target_delimiter: str
    examples: Examples


def read_task(file: TaskFile, shots: int | None) -> HarnessTask:
    """The task. `shots`: in the place of its own number of examples. Raises SuiteError with every error."""
    if "task_list" in file:
        raise file.error(("task_list",), "this file names several tasks. Name them in a group: `group`, `task`.")
    for field in file.places:
        with file.source.gathered.part():
            _check_field(file, field)
    file.source.gathered.check()
    output = _output(file)
    asked = file.get("test_split", file.get("validation_split"))
    if not isinstance(asked, str):
        raise file.error(("test_split",), "the task names neither a test split nor a validation split to ask.")
    examples = _examples(file, shots)
    return HarnessTask(
        file=file,
        name=_text(file, ("task",), "task"),
        tags=tuple(tag for tag in _listed(file.get("tag", [])) if isinstance(tag, str)),
        output=output,
        asked=asked,
        skips_itself=_named_split(file) == file.get("test_split"),
        fields=dict(_fields(file, output)),
        target_delimiter=_text(file, ("target_delimiter",), " "),
        examples=examples,
    )


def _check_field(file: TaskFile, field: str) -> None:
    """Raises SuiteError for a field that is not read, or that names code."""
    value = file.get(field)
    if value is None or value is False:
        return
    if field in LEFT_OUT:
        called = f"{value.words}, which a suite cannot run" if isinstance(value, CodeReference) else "it cannot be used"
        raise file.unsupported((field,), f"{called}; with --skip-unsupported {LEFT_OUT[field]}.")
    if field not in READ and field not in PASSED_OVER:
        raise file.error(
            (field,),
            f"{field!r} cannot be used: it changes what the model is given. Nightjar reads {', '.join(READ)}. Remove "
            "it, or write the suite in the native format (docs/suites.md).",
        )
    if field not in PASSED_OVER and field not in ("metric_list", "filter_list"):
        for path, reference in _codes((field,), value):
            if field == "fewshot_config" and path[1:] == ("process_docs",):
                raise file.unsupported(
                    path,
                    f"{reference.words}; with --skip-unsupported rows are read as they are.",
                )
            raise file.error(
                path,
                f"{reference.words}, which a suite cannot run. Write it as a template, or give --data "
                "rows that hold its result and name their field here.",
            )


def _codes(path: Path, value: Any) -> Iterator[tuple[Path, CodeReference]]:
    if isinstance(value, CodeReference):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _codes((*path, key), item)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _codes((*path, at), item)


def _output(file: TaskFile) -> OutputType:
    given = file.get("output_type", OutputType.WRITTEN)
    if given not in list(OutputType):
        raise file.error(("output_type",), f"there is no output type {given!r}; tasks have {', '.join(OutputType)}.")
    return OutputType(given)


def _fields(file: TaskFile, output: OutputType) -> Iterator[tuple[str, TaskField]]:
    """The fields that rows fill, by what they are for."""
    wanted = {"target": "doc_to_target"}
    if output is not OutputType.ROLLING:
        wanted |= {"text": "doc_to_text"}
    if output is OutputType.CHOICE or "doc_to_choice" in file:
        wanted |= {"choices": "doc_to_choice"}
    wanted |= {"prefix": "gen_prefix"} if "gen_prefix" in file and output is not OutputType.ROLLING else {}
    for name, field in wanted.items():
        if field not in file:
            raise file.error((field,), f"a task of the output type {output} needs this field.")
        yield name, TaskField(path=(field,), value=_given(file, (field,), file.get(field)))
    if file.get("description"):
        yield "description", TaskField(path=("description",), value=_text(file, ("description",), ""))


def _given(file: TaskFile, path: Path, value: Any) -> Any:
    """A field's value as it counts for every row."""
    kinds = {"doc_to_target": str | int | list, "doc_to_choice": str | list | dict}
    kind = kinds.get(str(path[-1]), str)
    if not isinstance(value, kind):
        raise file.error(path, "takes a template or the name of a field of the rows.")
    return list(value.values()) if isinstance(value, dict) else value


def _examples(file: TaskFile, shots: int | None) -> Examples:
    config = file.get("fewshot_config", {})
    place: Path = ("fewshot_config",)
    if not isinstance(config, Mapping):
        raise file.error(place, "must be a mapping of fields.")
    for key in config:
        if key not in FEWSHOT:
            raise file.error((*place, key), f"{key!r} cannot be used; Nightjar reads {', '.join(FEWSHOT)}.")
    sampler = config.get("sampler", "default")
    if sampler not in ("default", "first_n"):
        raise file.error((*place, "sampler"), f"there is no sampler {sampler!r}; there are default and first_n.")
    split = config.get("split") or file.get("fewshot_split")
    samples = config.get("samples")
    if samples is not None and not (isinstance(samples, list) and all(isinstance(one, Mapping) for one in samples)):
        raise file.error((*place, "samples"), "must be a list of rows, written in this file.")
    rule = next((at for at in ("training_split", "validation_split", "test_split") if at in file), None)
    between = _text(file, ("fewshot_delimiter",), "\n\n")
    own = {"text": "doc_to_text", "target": "doc_to_target", "choices": "doc_to_choice", "prefix": "gen_prefix"}
    count = file.get("num_fewshot", DEFAULT_SHOTS) if shots is None else shots
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise file.error(("num_fewshot",), "must be a whole number.")
    return Examples(
        count=count,
        first=sampler == "first_n",
        split=split or (file.get(rule) if rule is not None and samples is None else None),
        samples=tuple(samples or ()) if split is None else (),
        fields={
            name: TaskField(path=(*place, key), value=_given(file, (*place, key), config[key]))
            for name, key in own.items()
            if config.get(key) is not None
        },
        target_delimiter=_text(file, (*place, "target_delimiter"), _text(file, ("target_delimiter",), " ")),
        delimiter=_text(file, (*place, "fewshot_delimiter"), between),
        task_delimiter=between,
    )


def _named_split(file: TaskFile) -> Any:
    config = file.get("fewshot_config", {})
    return config.get("split") or file.get("fewshot_split") if isinstance(config, Mapping) else None


def _text(file: TaskFile, path: Path, default: str) -> str:
    value = file.get(str(path[0]))
    if len(path) > 1:
        value = value.get(path[1]) if isinstance(value, Mapping) else None
    if value is None:
        return default
    if not isinstance(value, str):
        raise file.error(path, "must be a text.")
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
