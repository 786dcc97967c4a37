"""What judges are asked: criteria with scales and an anchor text per scale point. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.errors import UsageError
from jobs.identity import digest

VERSION = 1
"""Raised when a judge's prompt or the reading of its verdict changes: old verdicts then count no more."""
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]


class Scope(StrEnum):
    TURN = "turn"
    """Each reply, with what came before it."""
    CONVERSATION = "conversation"
    """The whole transcript at once."""


class Layout(StrEnum):
    PER_CRITERION = "per_criterion"
    """One verdict per criterion: the judge weighs one thing at a time."""
    ALL = "all"
    """One verdict with all criteria: quicker, and criteria may colour each other."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(Part):
    """One thing a reply is judged by, on whole numbers; each point of the scale has an anchor text."""

    name: Name
    description: Text
    scale: dict[int, Text] = Field(min_length=2, max_length=21)

    @model_validator(mode="after")
    def _whole(self) -> Criterion:
        points = sorted(self.scale)
        if points != list(range(points[0], points[-1] + 1)):
            raise ValueError(
                f"the scale's points must follow one another, each with an anchor text; there are {points}"
            )
        return self

    @property
    def worst(self) -> int:
        return min(self.scale)

    @property
    def best(self) -> int:
        return max(self.scale)


class Rubric(Part):
    """A set of criteria and how a judge is to use them."""

    name: Name = "rubric"
    instructions: Text | None = None
    scope: Scope = Scope.TURN
    layout: Layout = Layout.PER_CRITERION
    criteria: tuple[Criterion, ...] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _distinct(self) -> Rubric:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError("each criterion needs a name of its own")
        return self

    @property
    def digest(self) -> str:
        """Digest of all that a judge sees, and of how its verdict is read."""
        return digest("rubric", VERSION, self.model_dump(mode="json"))


def read_rubric(data: Mapping[str, Any], source: str = "the rubric") -> Rubric:
    """A checked rubric. Raises UsageError that names source and field."""
    try:
        return Rubric.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]") or "rubric"
        raise UsageError(f"{source}: {place}: {first['msg'].removeprefix('Value error, ')}.") from None
