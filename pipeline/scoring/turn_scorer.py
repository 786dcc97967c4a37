"""Which scorers a turn has, and their scores. Pure.

Every turn whose reply is generated has the measures. A turn with expectations also has their checks, and `checks`, the
share of them that is met. Suites and runs may ask for more measures, and an installation may add its own scorers. A
turn whose given texts are scored has the scorers of likelihoods, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Mode, averaged_metric
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scores import PASS, SHARE, JobScores, Scale, Score, ScoreState, unscored
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.likelihood_scorers import LIKELIHOODS, likelihood_scorers
from nightjar.pipeline.scoring.measures_always import MEASURES
from nightjar.pipeline.scoring.measures_asked import ASKED, LOGPROB, asked_scorer, asks_logprobs, resolved
from nightjar.pipeline.scoring.plugins import NO_SCORERS, UserScorers
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer, apply
from nightjar.pipeline.transcripts import JobRow, TurnRow

T = TypeVar("T")
VERSION = 2
"""Raised when the results of all built-in scorers change; one that changes alone has a `version` of its own."""
FIRST_VERSION = "1"
"""Of a scorer that names none."""
CHECKS_METRIC = "checks"


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnScorer:
    """One scorer of a turn. `name` is unique in the turn: the second check of a kind is "includes#2"."""

    scorer: FunctionScorer
    digest: str
    check: bool = False
    """Whether it comes from an expectation and counts towards the share of checks met."""
    across: bool = False
    """Scored once all repeats are there (`score_repeats`)."""

    @property
    def name(self) -> str:
        return self.scorer.name


Lines = Sequence[Sequence[TurnScorer]]
"""The scorers of each turn of a sequence."""
MEASURE_LINES = tuple(
    TurnScorer(scorer=scorer, digest=digest("measure", scorer.name, VERSION, scorer.version)) for scorer in MEASURES
)

LIKELIHOOD_LINES = {
    scorer.name: TurnScorer(scorer=scorer, digest=digest("likelihood", scorer.name, VERSION, scorer.version))
    for scorer in LIKELIHOODS
}


def metric_of(line_name: str) -> str:
    """The metric that a scorer's name counts for: "includes" for "includes#2"."""
    return line_name.partition("#")[0]


def metric_scales(by_sequence: Iterable[Lines] = ()) -> dict[str, Scale]:
    """Metric name -> scale: all built-in metrics in display order, then the others of these scorers."""
    scales = {CHECKS_METRIC: SHARE, **{name: check.scale for name, check in CHECKS.items()}}
    scales |= {scorer.name: scorer.scale for scorer in LIKELIHOODS}
    scales |= {name: factory.scale for name, factory in ASKED.items()} | {s.name: s.scale for s in MEASURES}
    for scorer in (scorer for turns in by_sequence for turn in turns for scorer in turn):
        scales.setdefault(metric_of(scorer.name), scorer.scorer.scale)
    return scales


def averages_of(sequences: Iterable[PromptSequence]) -> dict[str, str]:
    """Average over parts -> the metric that it is taken of, each once."""
    names = dict.fromkeys(name for sequence in sequences for name in sequence.averages)
    return {name: averaged_metric(name) for name in names}


def with_averages(of_metrics: Mapping[str, T], averages: Mapping[str, str]) -> dict[str, T]:
    """What is known of each metric, and the same of the averages that are taken of it."""
    return {**of_metrics, **{name: of_metrics[metric] for name, metric in averages.items() if metric in of_metrics}}


def turn_lines(
    sequence: PromptSequence,
    *,
    measures: Mapping[str, Any] | None = None,
    own: UserScorers = NO_SCORERS,
    phrases: Sequence[str] = (),
) -> tuple[tuple[TurnScorer, ...], ...]:
    """The scorers of every turn of a sequence, compiled once.

    `measures`: name -> argument, what the run asks for beside the suite. `own`: the user's scorers and checks.
    `phrases`: the installation's list, for `overused`.
    """
    if sequence.scored:
        return tuple(
            tuple(LIKELIHOOD_LINES[scorer.name] for scorer in likelihood_scorers(sequence, turn))
            for turn in range(len(sequence.turns))
        )
    asked = measures_asked(sequence, measures or {})
    everywhere = MEASURE_LINES + tuple(
        TurnScorer(scorer=scorer, digest=digest("own", scorer.name, scorer.version)) for scorer in own.scorers
    )
    return tuple(
        _expectations(sequence, turn, own) + _asked(sequence, turn, asked, phrases) + everywhere
        for turn in range(len(sequence.turns))
    )


def measures_asked(sequence: PromptSequence, measures: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> argument of all measures asked for: the suite's, and before those the run's `measures`."""
    return {measure.check: measure.value for measure in sequence.measures} | dict(measures)


def built_in(scorer: str) -> bool:
    """Whether a scorer with this name comes with Nightjar."""
    return (
        scorer in CHECKS
        or scorer in ASKED
        or scorer in LIKELIHOOD_LINES
        or any(scorer == measure.name for measure in MEASURES)
    )


def scorer_versions(by_sequence: Iterable[Lines]) -> dict[str, dict[str, str]]:
    """Metric -> the scorers whose values it holds, with their versions; the share of checks holds all checks."""
    versions: dict[str, dict[str, str]] = {}
    for scorer in (scorer for turns in by_sequence for turn in turns for scorer in turn):
        name = metric_of(scorer.name)
        for metric in (name, CHECKS_METRIC) if scorer.check else (name,):
            versions.setdefault(metric, {})[name] = scorer.scorer.version or FIRST_VERSION
    return versions


def line_names(turns: Lines) -> list[list[str]]:
    """For every turn, the names of the scores it should have, including the share of its checks."""
    names = [[scorer.name for scorer in scorers] for scorers in turns]
    return [
        [CHECKS_METRIC, *turn] if any(scorer.check for scorer in scorers) else turn
        for turn, scorers in zip(names, turns, strict=True)
    ]


def score(scorers: Sequence[TurnScorer], context: Context) -> dict[str, Score]:
    """The scores of one turn by scorer name; if the turn has expectations, `checks` comes first."""
    scores = {scorer.name: apply(scorer.scorer, context) for scorer in scorers if not scorer.across}
    checks = [scores[scorer.name] for scorer in scorers if scorer.check]
    return {CHECKS_METRIC: share_met(checks), **scores} if checks else scores


def share_met(checks: Sequence[Score]) -> Score:
    """The share of checks met; unscored if any of them has no value."""
    missing = [check for check in checks if check.value is None]
    if missing:
        return unscored(f"{len(missing)} of {len(checks)} checks have no value: {missing[0].reason}")
    worst = checks[0].state is ScoreState.WORST
    return Score(
        value=sum(check.value or 0.0 for check in checks) / len(checks),
        state=ScoreState.WORST if worst else ScoreState.SCORED,
        reason=checks[0].reason if worst else None,
    )


def score_job(scorers: Lines, sequence: PromptSequence, job: JobRow) -> JobScores:
    """The scores of every committed turn of a job, without those that need its repeats."""
    history: tuple[tuple[str, str], ...] = ()
    scores: JobScores = {}
    for turn in job.turns:
        scores[turn.index] = score(scorers[turn.index], scorer_context(sequence, turn, history))
        if sequence.mode is not Mode.INDEPENDENT:
            history = (*history, (turn.prompt, turn.reply))
    return scores


def score_repeats(
    jobs: Iterable[JobRow], scorers: Mapping[str, Lines], sequences: Mapping[str, PromptSequence]
) -> dict[str, JobScores]:
    """Job -> its scores that need all repeats of a sequence; `jobs` are all those of the run."""
    wanted = {name for name, turns in scorers.items() if any(scorer.across for of_turn in turns for scorer in of_turn)}
    repeats: dict[tuple[str, str, int], list[tuple[str, TurnRow]]] = {}
    for job in jobs:
        if job.sequence in wanted:
            for turn in job.turns:
                repeats.setdefault((job.contestant, job.sequence, turn.index), []).append((job.id, turn))
    scores: dict[str, JobScores] = {}
    for (_, name, index), turns in repeats.items():
        wanted_here = [scorer for scorer in scorers[name][index] if scorer.across]
        for job_id, turn in turns if wanted_here else ():
            others = tuple(other.reply for _, other in turns if other is not turn and other.failure is None)
            context = scorer_context(sequences[name], turn, (), others)
            scores.setdefault(job_id, {})[index] = {
                scorer.name: apply(scorer.scorer, context) for scorer in wanted_here
            }
    return scores


def scorer_context(
    sequence: PromptSequence, turn: TurnRow, history: tuple[tuple[str, str], ...], repeats: tuple[str, ...] = ()
) -> Context:
    """The scorers' view of one turn."""
    return Context(
        prompt=turn.prompt,
        reply=turn.reply,
        history=history,
        turn=turn.index,
        system=sequence.system,
        reference=sequence.turns[turn.index].reference,
        repeats=repeats,
        failure=turn.failure,
        finish_reason=turn.finish_reason,
        reply_tokens=turn.reply_tokens,
        mean_logprob=turn.mean_logprob,
        first_token_s=turn.first_token_s,
        decode_s=turn.decode_s,
        likelihoods=turn.likelihoods,
        choices=sequence.turns[turn.index].choices,
    )


def _expectations(sequence: PromptSequence, turn: int, own: UserScorers) -> tuple[TurnScorer, ...]:
    seen: dict[str, int] = {}
    scorers = []
    for expectation in sequence.turns[turn].expect:
        check, value = expectation.check, expectation.value
        number = seen[check] = seen.get(check, 0) + 1
        name = check if number == 1 else f"{check}#{number}"
        scorer = _made(partial(expectation_scorer, check, value, own=own.checks, name=name), name)
        version = [scorer.version] if scorer.version else []
        scorers.append(TurnScorer(scorer=scorer, digest=digest("check", check, value, VERSION, *version), check=True))
    return tuple(scorers)


def _asked(
    sequence: PromptSequence, turn: int, asked: Mapping[str, Any], phrases: Sequence[str]
) -> tuple[TurnScorer, ...]:
    spec = sequence.turns[turn]
    if asks_logprobs([sequence.parameters, spec.parameters]):
        asked = {LOGPROB: True, **asked}
    scorers = []
    for name, value in asked.items():
        kind = ASKED.get(name)
        if kind is not None and kind.needs_reference and spec.reference is None:
            continue
        scorer = _made(partial(asked_scorer, name, value, phrases=phrases), name)
        version = [scorer.version] if scorer.version else []
        counted = digest("asked", name, resolved(name, value, phrases), VERSION, *version)
        scorers.append(TurnScorer(scorer=scorer, digest=counted, across=kind is not None and kind.across))
    return tuple(scorers)


def _made(make: Callable[[], FunctionScorer], name: str) -> FunctionScorer:
    """The scorer; if this version can no longer make it, one that fails on each turn, so that the report goes on."""
    try:
        return make()
    except ValueError as error:
        message = str(error)

        def fail(_: Context) -> Score:
            raise ValueError(message)

        return FunctionScorer(name=name, scale=PASS, function=fail)
