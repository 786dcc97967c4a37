"""A task's `generation_kwargs` as parameters of ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.config.errors import ParameterError
from nightjar.jobs.parameters import check
from nightjar.pipeline.suites.harness.task import HarnessTask
from nightjar.pipeline.suites.located import Path

USUAL_TOKENS = 256
"""How long a reply may get where a task does not say it: the harness' own default."""
_NUMBERS = {"max_gen_toks": "max_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k"}
_KNOWN = ("until", "do_sample", *_NUMBERS)


def read_generation(task: HarnessTask) -> dict[str, Any]:
    """What replies are generated with: the likeliest tokens unless the task samples. Raises SuiteError."""
    file = task.file
    given = file.get("generation_kwargs", {})
    place: Path = ("generation_kwargs",)
    if not isinstance(given, Mapping):
        raise file.error(place, "must be a mapping of fields.")
    for key in given:
        if key not in _KNOWN:
            raise file.error((*place, key), f"{key!r} cannot be used; Nightjar reads {', '.join(_KNOWN)}.")
    parameters: dict[str, Any] = {"max_tokens": USUAL_TOKENS}
    for name, ours in _NUMBERS.items():
        if name in given:
            parameters[ours] = _number(task, (*place, name), given[name])
    if not given.get("do_sample", False) or "temperature" not in given:
        parameters["temperature"] = 0.0
    until = given.get("until", [task.examples.task_delimiter])
    stops = [until] if isinstance(until, str) else until
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise file.error((*place, "until"), "must be a list of texts, none of them empty.")
    parameters |= {"stop": stops} if stops else {}
    try:
        check(parameters, task.name)
    except ParameterError as error:
        raise file.error(place, str(error)) from None
    return parameters


def _number(task: HarnessTask, path: Path, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise task.file.error(path, f"must be a number, not {value!r}.")
    return value
