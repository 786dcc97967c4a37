"""Which scorers a turn has, and their scores. Pure.

Every turn has the measures; a turn with expectations has their checks, and `checks`, the share of them that is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.identity import digest
from jobs.sequences import Mode
from jobs.sequences import Sequence as PromptSequence
from pipeline.scoring.expectations import CHECKS, expectation_scorer
from pipeline.scoring.measures import MEASURES
from pipeline.scoring.scorer import PASS, Context, Direction, FunctionScorer, Scale, Score, ScoreState, apply, unscored
from pipeline.transcripts import JobRow, TurnRow

VERSION = 1
"""Raised when a built-in scorer counts differently: stored scores of the old version are then replaced."""
CHECKS_METRIC = "checks"
SHARE_MET = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER, unit="share", least=0.0, most=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One scorer of a turn. `name` is unique in the turn: the second check of a kind is "includes#2"."""

    scorer: FunctionScorer
    digest: str

    @property
    def name(self) -> str:
        return self.scorer.name


MEASURE_LINES = tuple(Line(scorer=scorer, digest=digest("measure", scorer.name, VERSION)) for scorer in MEASURES)

_MEASURE_NAMES = frozenset(scorer.name for scorer in MEASURES)


def metric_of(line_name: str) -> str:
    """The metric that a line counts for: "includes#2" for includes."""
    return line_name.partition("#")[0]


def is_check(line_name: str) -> bool:
    """Whether a line comes from an expectation."""
    return metric_of(line_name) not in _MEASURE_NAMES


def metric_scales(sheets: Iterable[Sequence[Sequence[Line]]] = ()) -> dict[str, Scale]:
    """Metric name -> scale: all built-in ones in the order they are shown, then what else the sheets hold."""
    scales = {CHECKS_METRIC: SHARE_MET, **dict.fromkeys(CHECKS, PASS), **{s.name: s.scale for s in MEASURES}}
    for line in (line for turns in sheets for turn in turns for line in turn):
        scales.setdefault(metric_of(line.name), line.scorer.scale)
    return scales


def turn_lines(sequence: PromptSequence) -> tuple[tuple[Line, ...], ...]:
    """The lines of every turn of a sequence, compiled once."""
    return tuple(_expectations(sequence, turn) + MEASURE_LINES for turn in range(len(sequence.turns)))


def line_names(turns: Sequence[Sequence[Line]]) -> list[list[str]]:
    """For every turn the names of the scores it should have, the share of its checks included."""
    names = [[line.name for line in lines] for lines in turns]
    return [[CHECKS_METRIC, *turn] if any(map(is_check, turn)) else turn for turn in names]


def score(lines: Sequence[Line], context: Context) -> dict[str, Score]:
    """The scores of one turn by line name; `checks` comes first where there are expectations."""
    scores = {line.name: apply(line.scorer, context) for line in lines}
    checks = [scores[line.name] for line in lines if is_check(line.name)]
    return {CHECKS_METRIC: share_met(checks), **scores} if checks else scores


def share_met(checks: Sequence[Score]) -> Score:
    """The share of checks met; unscored when any of them has no value."""
    missing = [check for check in checks if check.value is None]
    if missing:
        return unscored(f"{len(missing)} of {len(checks)} checks have no value: {missing[0].reason}")
    worst = checks[0].state is ScoreState.WORST
    return Score(
        value=sum(check.value or 0.0 for check in checks) / len(checks),
        state=ScoreState.WORST if worst else ScoreState.SCORED,
        reason=checks[0].reason if worst else None,
    )


def score_job(lines: Sequence[Sequence[Line]], sequence: PromptSequence, job: JobRow) -> None:
    """Scores every committed turn of a job, in place: `turn.scores` is set."""
    history: tuple[tuple[str, str], ...] = ()
    for turn in job.turns:
        turn.scores.update(score(lines[turn.index], context_of(sequence, turn, history)))
        if sequence.mode is not Mode.INDEPENDENT:
            history = (*history, (turn.prompt, turn.reply))


def context_of(sequence: PromptSequence, turn: TurnRow, history: tuple[tuple[str, str], ...]) -> Context:
    """The scorers' view of one turn."""
    return Context(
        prompt=turn.prompt,
        reply=turn.reply,
        history=history,
        turn=turn.index,
        system=sequence.system,
        reference=sequence.turns[turn.index].reference,
        failure=turn.failure,
        finish_reason=turn.finish_reason,
        reply_tokens=turn.reply_tokens,
        mean_logprob=turn.mean_logprob,
        first_token_s=turn.first_token_s,
        decode_s=turn.decode_s,
    )


def _expectations(sequence: PromptSequence, turn: int) -> tuple[Line, ...]:
    seen: dict[str, int] = {}
    lines = []
    for expectation in sequence.turns[turn].expect:
        number = seen[expectation.check] = seen.get(expectation.check, 0) + 1
        name = expectation.check if number == 1 else f"{expectation.check}#{number}"
        scorer = _scorer(expectation.check, expectation.value, name)
        lines.append(Line(scorer=scorer, digest=digest("check", expectation.check, expectation.value, VERSION)))
    return tuple(lines)


def _scorer(check: str, value: Any, name: str) -> FunctionScorer:
    """A check that this version cannot make any more is a recorded failure of each turn, not the end of the report."""
    try:
        return expectation_scorer(check, value, name=name)
    except ValueError as error:
        message = str(error)

        def fail(_: Context) -> Score:
            raise ValueError(message)

        return FunctionScorer(name=name, scale=PASS, function=fail)
