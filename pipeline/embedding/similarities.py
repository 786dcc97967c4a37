"""Similarities of embeddings as scores of the turns they are about. Pure.

`embedding_reference`: the cosine of reply and reference; negative ones count as 0. `embedding_previous`: the cosine of
a reply and the previous one in the same conversation; it describes, and neither end is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.jobs.identity import digest
from nightjar.jobs.records import Similarity
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scores import SIMILARITY, Direction, JobScores, Scale, Score, ScoreState, unscored
from nightjar.pipeline.transcripts import JobRow, TurnRow

REFERENCE = "embedding_reference"
PREVIOUS = "embedding_previous"
VERSION = 1
SCALES = {
    REFERENCE: SIMILARITY,
    PREVIOUS: Scale(
        worst=None, best=None, direction=Direction.NONE, unit=SIMILARITY.unit, least=SIMILARITY.least, most=1.0
    ),
}


@dataclass(frozen=True, kw_only=True)
class Similarities:
    """The results of a run's EMBED jobs; empty for a run without an embedding model."""

    model: str | None = None
    files: tuple[str, ...] = ()
    """Digests of the files that embedded."""
    found: Mapping[str, Mapping[int, Similarity]] = field(default_factory=dict)
    """Reply job -> turn -> similarities."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reply job -> why it has none."""

    @property
    def digest(self) -> str:
        """Digest of what the scores depend on besides the texts: version, model, files."""
        return digest("embedded", VERSION, self.model, self.files)

    def score(self, sequence: PromptSequence, job: JobRow) -> JobScores:
        """The similarities of a job's turns as scores."""
        if self.model is None:
            return {}
        there = {turn.index: turn for turn in job.turns}
        return {
            turn.index: {
                name: self._score(name, job, turn, there.get(turn.index - 1)) for name in names(sequence, turn.index)
            }
            for turn in job.turns
        }

    def with_scales(self, scales: dict[str, Scale]) -> dict[str, Scale]:
        """The metrics' scales together with the similarities', which come last."""
        return scales if self.model is None else scales | SCALES

    def with_lines(self, sequence: PromptSequence, turns: list[list[str]]) -> list[list[str]]:
        """For every turn, the names of the scores it should have, including the similarities."""
        if self.model is None:
            return turns
        return [[*turn, *names(sequence, index)] for index, turn in enumerate(turns)]

    def _score(self, name: str, job: JobRow, turn: TurnRow, before: TurnRow | None) -> Score:
        worst = SCALES[name].worst
        if turn.failure is not None and worst is not None:
            return Score(value=worst, state=ScoreState.WORST, reason=turn.failure)
        if turn.failure is not None and not _embedded(turn):
            return unscored(turn.failure)
        if name == PREVIOUS and (before is None or not _embedded(before)):
            return unscored("the reply before it is a failure, or is not there")
        similarity = self.found.get(job.id, {}).get(turn.index)
        value = None if similarity is None else getattr(similarity, "reference" if name == REFERENCE else "previous")
        if similarity is None or value is None:
            return unscored(self.missing.get(job.id, "its job did not finish, or was not embedded yet"))
        parts = f"embedded in {similarity.parts} parts" if similarity.parts > 1 else None
        return Score(value=min(max(0.0, value), 1.0), answer=parts)


def _embedded(turn: TurnRow) -> bool:
    """A reply that is the one before it again has a text like any other."""
    return turn.failure is None or turn.repeats_previous is not None


def names(sequence: PromptSequence, turn: int) -> list[str]:
    """The similarities that a turn should have."""
    metrics = [REFERENCE] if sequence.turns[turn].reference is not None else []
    return metrics + ([PREVIOUS] if turn > 0 and sequence.mode is not Mode.INDEPENDENT else [])
