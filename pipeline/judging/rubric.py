"""What judges are asked: criteria, with an anchor text per scale point, or for comparing two replies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from nightjar.config.errors import UsageError
from nightjar.jobs.identity import digest

SCORING_VERSION = 2
"""Raised when the way verdicts are read or averaged changes."""
PROMPTS = 2
"""The version of the prompts that runs are frozen with today. 2: borders with a random word (`borders.py`)."""
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]


class Method(StrEnum):
    """How a judge expresses its verdict."""

    POINTS = "points"
    """Each reply gets a number per criterion."""
    PAIRWISE = "pairwise"
    """Two replies to the same prompt are compared, in both orders."""


class Scope(StrEnum):
    """What is judged as one text."""

    TURN = "turn"
    """Each reply, with what came before it."""
    CONVERSATION = "conversation"
    """The whole transcript at once."""


class Layout(StrEnum):
    """How many criteria a judge is asked about at a time."""

    PER_CRITERION = "per_criterion"
    """One verdict per criterion: the judge weighs one thing at a time."""
    ALL = "all"
    """One verdict with all criteria: quicker, but criteria may influence each other."""


class Reference(StrEnum):
    """Whether judges see a turn's reference."""

    IF_ANY = "if_any"
    """The turn's reference is shown if it has one."""
    REQUIRED = "required"
    """Shown; a turn without one is not judged."""
    HIDDEN = "hidden"


class ConflictError(ValueError):
    """Two settings of a rubric that contradict each other; `field` is one of them."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class RubricPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(RubricPart):
    """One aspect that a reply is judged by, on a scale of whole numbers with an anchor text for each point.

    A pairwise rubric's criteria have no scale.
    """

    name: _Name
    description: _Text
    scale: dict[int, _Text] | None = Field(None, min_length=2, max_length=21)

    @model_validator(mode="after")
    def _whole(self) -> Criterion:
        if self.scale is None:
            return self
        points = sorted(self.scale)
        if points != list(range(points[0], points[-1] + 1)):
            raise ConflictError(
                "scale", f"the scale's points must follow one another, each with an anchor text; there are {points}"
            )
        first: dict[str, int] = {}
        for point in points:
            same = first.setdefault(self.scale[point].casefold(), point)
            if same != point:
                raise ConflictError(f"scale.{point}", f"the anchor text is that of {same}: say what tells them apart")
        return self

    @property
    def points(self) -> dict[int, str]:
        """Point -> anchor text. Only for criteria with a scale."""
        assert self.scale is not None, "a pairwise criterion has no points"
        return self.scale

    @property
    def worst(self) -> int:
        return min(self.points)

    @property
    def best(self) -> int:
        return max(self.points)


class Rubric(RubricPart):
    """A set of criteria, and how a judge should use them."""

    name: _Name = "rubric"
    instructions: _Text | None = None
    method: Method = Method.POINTS
    scope: Scope = Scope.TURN
    layout: Layout = Layout.PER_CRITERION
    reference: Reference = Reference.IF_ANY
    temperature: float = Field(0.0, ge=0, le=2, allow_inf_nan=False)
    smallest_effect: float = Field(0.1, gt=0, le=1, allow_inf_nan=False)
    """The smallest mean difference between real and spoilt replies that a judge must see, as a share of the scale."""
    criteria: tuple[Criterion, ...] = Field(min_length=1, max_length=20)
    prompts: SkipJsonSchema[Literal[1, 2]] = Field(1, exclude=True)
    """The version of the prompts: not a rubric file's to say, but stored with a run's rubric."""

    @model_validator(mode="after")
    def _agrees(self) -> Rubric:
        names: set[str] = set()
        for at, criterion in enumerate(self.criteria):
            if criterion.name.casefold() in names:
                raise ConflictError(f"criteria.{at}.name", f"each criterion needs a name of its own: {criterion.name}")
            names.add(criterion.name.casefold())
            if self.method is Method.POINTS and criterion.scale is None:
                raise ConflictError(
                    f"criteria.{at}.scale",
                    "a criterion needs a scale, unless the rubric is `method: pairwise`",
                )
            if self.method is Method.PAIRWISE and criterion.scale is not None:
                raise ConflictError(f"criteria.{at}.scale", "a pairwise rubric gives no points; leave it out")
        if self.scope is Scope.CONVERSATION and self.reference is Reference.REQUIRED:
            raise ConflictError("reference", "a reference belongs to a turn; `required` needs `scope: turn`")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The worst and the best value of all criteria together; shares of comparisons won for a pairwise rubric."""
        if self.method is Method.PAIRWISE:
            return 0.0, 1.0
        return fmean(criterion.worst for criterion in self.criteria), fmean(one.best for one in self.criteria)

    @property
    def scoring_digest(self) -> str:
        """Digest of how verdicts become scores; text that only the judge reads does not change it."""
        scales = [(criterion.name, sorted(criterion.scale) if criterion.scale else None) for criterion in self.criteria]
        return digest("judge scoring", SCORING_VERSION, self.method, self.scope, scales)


def read_rubric(data: Mapping[str, Any], source: str = "the rubric") -> Rubric:
    """A validated rubric. Raises UsageError that names source and field."""
    try:
        return Rubric.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        conflict = first.get("ctx", {}).get("error")
        places = [str(part) for part in first["loc"] if part != "[key]"]
        places += [conflict.field] if isinstance(conflict, ConflictError) else []
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{source}: {'.'.join(places) or 'rubric'}: {message}.") from None


def judging_rubric(rubric: Mapping[str, Any] | None, source: str) -> dict[str, Any]:
    """The rubric that judges use, as it is stored. Raises UsageError where there is none, or a broken one.

    One that is not stored yet gets today's prompts; see `stored_rubric`.
    """
    if rubric is None:
        raise UsageError(f"Judges need a rubric and {source} has none. Give one with --rubric FILE.")
    whole = read_rubric({"prompts": PROMPTS, **rubric}, f"the rubric of {source}")
    return {**whole.model_dump(mode="json"), "prompts": whole.prompts}


def stored_rubric(rubric: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A run's own rubric, to be used again: it keeps its version of the prompts, the first one if it names none."""
    return None if rubric is None else {"prompts": 1, **rubric}
