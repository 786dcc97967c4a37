"""What a call of `nightjar enqueue` asks for, checked. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs import parameters
from nightjar.jobs.ending import Gate, Hook
from nightjar.jobs.parameters import ParameterSource
from nightjar.jobs.routing.policies import is_routed
from nightjar.jobs.variants import MOST_VARIANTS, Variant
from nightjar.pipeline.durations import parse_deadline
from nightjar.pipeline.runs.expand import MAX_REPEATS
from nightjar.pipeline.scoring.installed import validate_measure
from nightjar.pipeline.suites.content import NAME_PATTERN

_TEMPLATE = re.compile(r"\{([^{}]*)\}")
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class EnqueueRequest(BaseModel):
    """One call of `nightjar enqueue`. Stored as it is in a schedule."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suite: _Name
    models: tuple[_Name, ...] = Field(min_length=1)
    repeats: int = Field(1, ge=1, le=MAX_REPEATS)
    seed: int | None = Field(None, ge=0, lt=2**63)
    """None: from the suite's name."""
    set_parameters: dict[str, Any] = Field(default_factory=dict)
    set_model_parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    variants: tuple[Variant, ...] = Field((), max_length=MOST_VARIANTS)
    """Of a run over a suite that has none (`--system`)."""
    only_variants: tuple[_Name, ...] = ()
    """Those of the suite that are taken; empty: all."""
    only: tuple[_Name, ...] = ()
    limit: int | None = Field(None, ge=1)
    name: str | None = None
    """A name, in which `{date}` becomes the day (UTC); None: a generated one."""
    budget: float | None = Field(None, gt=0)
    """US dollars that its models at endpoints may cost."""
    local_only: bool = False
    """Nothing of it is sent to an endpoint."""
    priority: int = Field(0, ge=-1000, le=1000)
    max_tries: int = Field(3, ge=1, le=100)
    judges: tuple[_Name, ...] = ()
    """Models that judge the replies by the rubric."""
    rubric: dict[str, Any] | None = None
    """None: the suite's."""
    self_judging: bool = False
    embed_model: _Name | None = None
    """A model that embeds replies and references, for similarities."""
    fidelity_to: _Name | None = None
    """The model that the others are held against, token by token, on the run's own conversations."""
    measures: dict[str, Any] = Field(default_factory=dict)
    """Name -> argument (true: none), beside what the suite asks for."""
    until: Literal["decided"] | None = None
    """None: all sequences are asked."""
    primary: _Name | None = None
    """The metric that decides; None: the suite's."""
    margin: float | None = Field(None, gt=0)
    """Contestants whose difference lies within it, on the metric's own scale, are alike, and that is decided, too."""
    fail_on_error: float | None = Field(None, gt=0)
    """Stop the run at this many failed jobs (>= 1) or at this fraction of them (< 1)."""
    gates: tuple[Gate, ...] = ()
    strict: bool = False
    """A gate that cannot be decided counts as failed, too."""
    baseline: _Name | None = None
    """A run to be held against; None: the suite's baseline."""
    deadline: str | None = None
    """As `pipeline.durations.parse_deadline` reads it."""
    timezone: str = "UTC"
    """Of a deadline that is a time of day."""
    stalled_after_s: float | None = Field(None, gt=0)
    """None: half an hour where somebody is notified, else never."""
    formats: tuple[str, ...] = ()
    """Of the report at the run's end; empty: html and json."""
    on_finish: tuple[Hook, ...] = ()
    schedule: str | None = None
    tick: datetime | None = None
    paths: dict[str, str] = Field(default_factory=dict)
    """GGUF files of models that no registry knows, by name (`nightjar eval`)."""
    known_models: tuple[str, ...] = ()
    """Names of the registry of the host that enqueues."""


def make_request(**options: Any) -> EnqueueRequest:
    """A checked request. Raises UsageError that names the option, ParameterError, UnknownNameError."""
    try:
        request = EnqueueRequest(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = _OPTIONS.get(str(first["loc"][0]), f"--{str(first['loc'][0]).replace('_', '-')}")
        raise UsageError(f"{option} is {first['input']!r}: {_plain(first['msg'])}.") from None
    parameters.check(request.set_parameters, ParameterSource.SET)
    for model, values in request.set_model_parameters.items():
        policies = any(map(is_routed, request.models))  # whose candidates may be meant: freezing them checks that
        if model not in (*request.models, *request.judges) and not policies:
            known = (*request.models, *request.judges)
            raise UnknownNameError("model in this run", model, known, "Check --set MODEL:key=value.")
        parameters.check(values, f"--set {model}:")
    for variant in request.variants:
        parameters.check(variant.parameters, f"variant {variant.name}")
    for measure, argument in request.measures.items():
        _check_measure(measure, argument)
    if request.deadline is not None:
        parse_deadline(request.deadline)
    if request.until is None and (given := [name for name in ("primary", "margin") if getattr(request, name)]):
        raise UsageError(f"--{given[0]} says how --until decided decides. Give both, or neither.")
    fraction = request.fail_on_error
    if fraction is not None and fraction > 1 and fraction != int(fraction):
        raise UsageError(f"--fail-on-error is {fraction}: give a whole number of jobs, or a fraction below 1.")
    return request


def _check_measure(measure: str, argument: Any) -> None:
    try:
        validate_measure(measure, argument)
    except ValueError as error:
        raise UsageError(f"--measure {measure}: {error}") from None


_OPTIONS = {
    "models": "--model",
    "variants": "--system",
    "only_variants": "--variant",
    "set_parameters": "--set",
    "set_model_parameters": "--set",
}


def _plain(message: str) -> str:
    return message.replace("Input should be", "it must be").replace("Tuple should have at least 1 item", "give one")


def expand_name(template: str, now: datetime) -> str:
    """The run's name: `{date}` becomes YYYY-MM-DD. Raises UsageError for what no name may hold."""

    def put(placeholder: re.Match[str]) -> str:
        if placeholder.group(1) != "date":
            raise UsageError(
                f"--name {template!r}: {placeholder.group()} is not known; {{date}} is the only placeholder."
            )
        return f"{now:%Y-%m-%d}"

    name = _TEMPLATE.sub(put, template)
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(
            f"The run name {name!r} is not allowed: use letters, digits, '.', '_' and '-', at most 100 characters."
        )
    return name


def readable_name(suite: str, now: datetime, suffix: str) -> str:
    """The name of a run that was given none: suite, day, suffix. Short, since people type it."""
    return f"{suite[:35]}-{now:%m%d}-{suffix}"
