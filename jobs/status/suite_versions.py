"""The versions of a suite, and what changed from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nightjar.config.counting import how_many
from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.mongo import Database


class SequenceChange(StrEnum):
    """What became of a sequence, by its id."""

    ADDED = "added"
    REMOVED = "removed"
    ASKED = "asks otherwise"
    """Something that reaches the model: a prompt, the system prompt, a document, a parameter."""
    CHECKED = "checked or tagged otherwise"
    """Models are asked the same."""


FIELDS = {
    "description": "description",
    "licence": "licence",
    "tags": "tags",
    "rubric": "rubric",
    "primary_metric": "primary metric",
    "variants": "variants",
}
"""Of a version, beside its sequences -> what people call them."""


@dataclass(frozen=True, kw_only=True)
class SuiteChanges:
    """What a version has otherwise than the one before it. `reordered`: of the sequences that both have."""

    sequences: tuple[tuple[str, SequenceChange], ...]
    fields: tuple[str, ...]
    reordered: bool

    @property
    def words(self) -> str:
        """In a line: "2 sequences added, 1 asks otherwise; rubric"."""
        kinds = [change for _, change in self.sequences]
        counts = [(kind, kinds.count(kind)) for kind in SequenceChange if kind in kinds]
        said = [f"{how_many(count, 'sequence')} {kind}" for kind, count in counts]
        said += ["another order"] if self.reordered else []
        return "; ".join(part for part in (", ".join(said), ", ".join(self.fields)) if part) or "nothing that counts"


async def versions_of(name: str, database: Database) -> list[SuiteVersion]:
    """All versions of a suite, the newest first."""
    return await SuiteVersion.find({"name": name}).sort("-version").to_list()


def suite_changes(before: SuiteVersion, after: SuiteVersion) -> SuiteChanges:
    """Sequences in the order of the newer version, those that are gone last. Pure."""
    old, new = ({ref.id: ref for ref in version.sequences} for version in (before, after))
    changes: list[tuple[str, SequenceChange]] = []
    for name, ref in new.items():
        if name not in old:
            changes.append((name, SequenceChange.ADDED))
        elif ref.digest != old[name].digest:
            changes.append((name, SequenceChange.ASKED))
        elif ref.document != old[name].document:
            changes.append((name, SequenceChange.CHECKED))
    changes += [(name, SequenceChange.REMOVED) for name in old if name not in new]
    return SuiteChanges(
        sequences=tuple(changes),
        fields=tuple(word for field, word in FIELDS.items() if getattr(before, field) != getattr(after, field)),
        reordered=[name for name in old if name in new] != [name for name in new if name in old],
    )
