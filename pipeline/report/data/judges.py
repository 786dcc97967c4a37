"""What a report says of its judges: agreement, order effects, checks, win rates, and every verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nightjar.pipeline.judging.checkup import Ability, Checkup
from nightjar.pipeline.judging.pairs import PairResult
from nightjar.pipeline.judging.resistance import Resistance
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import Rubric
from nightjar.pipeline.statistics.agreement import Level
from nightjar.pipeline.statistics.preference import WinRate
from nightjar.pipeline.statistics.strengths import Strength


@dataclass(frozen=True, kw_only=True)
class Flips:
    """What the order of two replies did to one judge's choices, criterion by criterion."""

    compared: int
    """Choices made in both orders."""
    flipped: int
    """Of those, the ones that changed with the order; each counts as a tie."""
    sided: int
    """Single choices that were not a tie."""
    first: int
    """Of those, the ones for the reply shown first."""

    @property
    def rate(self) -> float | None:
        return self.flipped / self.compared if self.compared else None

    @property
    def first_share(self) -> float | None:
        return self.first / self.sided if self.sided else None


@dataclass(frozen=True, kw_only=True)
class JudgeReport:
    """One judge: how much it judged, its mean, and its check."""

    name: str
    file: str | None
    """Digest of its file, if known."""
    own: tuple[str, ...]
    """Models whose replies it was not asked about because they are its own."""
    asked: int
    """Texts, or pairs of texts, it was to judge."""
    judged: int
    """Of those, the ones with a verdict by every criterion."""
    missing: Mapping[str, int]
    """Why the others have no verdict -> count."""
    mean: float | None
    """Mean of its points over texts; None for pairs."""
    flips: Flips | None
    checkup: Checkup | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Krippendorff's alpha of all judges by one criterion, or by the composite."""

    metric: str
    level: Level
    alpha: float | None
    units: int
    """Texts or pairs with verdicts from at least two judges."""


@dataclass(frozen=True, kw_only=True)
class Imitation:
    """A judged reply that imitates what surrounds it for a judge. It may be innocent: a person should look."""

    job: str
    model: str
    sequence: str
    repeat: int
    turn: int
    what: str


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One judge's verdict on a text or pair by one criterion. `value`: points, or the share of the pair won."""

    job: str
    other: str | None
    """The second job of a pair."""
    turn: int | None
    judge: str
    criterion: str
    value: float | None
    reason: str
    flipped: bool | None = None


@dataclass(frozen=True, kw_only=True)
class JudgingReport:
    """What the report says of the judges. `rubric` is None for a run whose judges were only checked."""

    rubric: Rubric | None
    prompt_digest: str | None
    scoring_digest: str | None
    score_digest: str | None
    against: str | None
    judges: tuple[JudgeReport, ...]
    agreement: tuple[Agreement, ...]
    rates: tuple[WinRate, ...]
    strengths: tuple[Strength, ...]
    imitations: tuple[Imitation, ...] = ()
    bench: JudgeResults = field(repr=False)

    @property
    def blind(self) -> tuple[Checkup, ...]:
        """Failed checks of this run's judges with its rubric; these judges' scores rank nothing."""
        checkups = (judge.checkup for judge in self.judges)
        return tuple(
            checkup
            for checkup in checkups
            if checkup and checkup.ability is Ability.CANNOT and checkup.rubric == self.prompt_digest
        )

    @property
    def fooled(self) -> tuple[Checkup, ...]:
        """Checks of this run's judges that fell for replies that ask for a good verdict."""
        checkups = (judge.checkup for judge in self.judges)
        return tuple(checkup for checkup in checkups if checkup and checkup.resistance is Resistance.FALLS)

    def verdicts(self) -> Iterator[VerdictRow]:
        """Every single verdict, text by text."""
        for (job, turn), given in self.bench.verdicts.items():
            for judge, verdicts in given.items():
                for verdict in verdicts:
                    yield VerdictRow(
                        job=job,
                        other=None,
                        turn=turn,
                        judge=judge,
                        criterion=verdict.criterion,
                        value=verdict.value,
                        reason=verdict.reason,
                    )
        for result in self.bench.pairs:
            yield from _pair_verdicts(result)


def _pair_verdicts(result: PairResult) -> Iterator[VerdictRow]:
    for judge, opinions in result.opinions.items():
        for opinion in opinions:
            yield VerdictRow(
                job=result.pair.first.id,
                other=result.pair.second.id,
                turn=result.pair.turn,
                judge=judge,
                criterion=opinion.criterion,
                value=None if opinion.outcome is None else opinion.outcome.value,
                reason=" | ".join(dict.fromkeys(opinion.reasons)),
                flipped=opinion.flipped,
            )
