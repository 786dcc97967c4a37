"""The content of a suite file, read and validated, whatever its format. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import NonEmptyText, Sequence, Value, sequence_key
from nightjar.jobs.variants import Variant

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Names of suites, runs and schedules: as file names they cannot leave a folder."""


class SuiteContent(Value):
    """A whole suite; equal content has an equal digest."""

    name: str = Field(pattern=NAME_PATTERN)
    description: str = ""
    licence: str | None = None
    tags: tuple[str, ...] = ()
    sequences: tuple[Sequence, ...] = Field(min_length=1)
    rubric: dict[str, Any] | None = None
    primary_metric: NonEmptyText | None = None
    variants: tuple[Variant, ...] = Field((), exclude_if=lambda variants: not variants)
    """What every model of a run is tried with; none: it replies once, as the sequences ask."""
    source: str = ""
    """File name and format it was read from; not part of the content."""
    left_out: tuple[str, ...] = Field((), exclude=True)
    """What another tool would do with the file and this suite does not, in sentences; not part of the content."""
    notes: tuple[str, ...] = Field((), exclude=True)
    """What was passed over in reading the file, in sentences; not part of the content, and not stored."""

    @property
    def withheld(self) -> bool:
        """Whether any of its questions is shown to nobody."""
        return any(sequence.withheld for sequence in self.sequences)

    @property
    def digest(self) -> str:
        """Digest of everything but `source` and `left_out`, including names, tags and expectations."""
        return digest(
            "suite",
            self.name,
            self.description,
            self.licence,
            self.tags,
            [sequence_key(sequence) for sequence in self.sequences],
            self.rubric,
            self.primary_metric,
            *([[variant.model_dump(mode="json") for variant in self.variants]] if self.variants else []),
        )
