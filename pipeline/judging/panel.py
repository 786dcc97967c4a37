"""Which judge may judge which model: never its own replies, unless that is asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The judges of a run, and for each the models whose replies it may not judge."""

    judges: tuple[str, ...]
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def seats(self, *models: str) -> tuple[str, ...]:
        """The judges that may judge a text of these models."""
        return tuple(judge for judge in self.judges if not self.own.get(judge, frozenset()) & set(models))


def seat(
    judges: tuple[str, ...],
    models: Mapping[str, frozenset[str]],
    files: Mapping[str, str],
    *,
    self_judging: bool = False,
) -> Panel:
    """Seats the judges. A judge's own models are those with its name, and those with the same file.

    `models`: name -> digests of its files (none known: only the name counts). `files`: judge -> digest of its file.
    """
    if self_judging:
        return Panel(judges=judges)
    own = {
        judge: frozenset(name for name, digests in models.items() if name == judge or files.get(judge) in digests)
        for judge in judges
    }
    return Panel(judges=judges, own=own)
