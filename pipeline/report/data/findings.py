"""What a reader must know besides the ranking: what failed, and what cannot be concluded. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightjar.config.counting import are
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount
from nightjar.pipeline.report.data.answer import missing_bounds, missing_words
from nightjar.pipeline.report.data.compared import Pair, PairDifference
from nightjar.pipeline.report.data.links import show
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import MISSING_LIMIT
from nightjar.pipeline.report.data.waves import WavesReport, pair_found
from nightjar.pipeline.report.data.waves_words import why_over
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL
from nightjar.pipeline.statistics.paired import SMALLEST_COMPARISON


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A statement about a model or a pair, named by `about`; `show` links to the transcripts behind it."""

    about: str
    text: str
    show: str | None = None


def failures(report: RunReport) -> tuple[Finding, ...]:
    """Model by model: failed jobs, missing turns, unusable and truncated replies, missing scores."""
    return tuple(finding for model in report.models for finding in (*_failures(model), *_unscored(report, model)))


def doubts(report: RunReport) -> tuple[Finding, ...]:
    """Pairs that can't be separated, models without a rank, and numbers without an interval."""
    return (*_pairs(report), *_unranked(report), *_few(report))


def by_subject(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings about each model or pair, in order of first appearance."""
    subjects: dict[str, list[Finding]] = {}
    for finding in findings:
        subjects.setdefault(finding.about, []).append(finding)
    return list(subjects.items())


def _failures(model: ModelReport) -> Iterator[Finding]:
    counts, name = model.total.counts, model.name
    jobs = sum(counts.jobs.values())
    counted = (
        (counts.failed, "failed", f"{fmt.whole(counts.failed)} of {fmt.count_of(jobs, 'job')} failed"),
        (counts.turns_missing, "missing", f"{fmt.whole(counts.turns_missing)} of {_turns(model)} are missing"),
        (counts.empty, "empty", f"{fmt.count_of(counts.empty, 'empty reply')}, scored as worst"),
        (counts.degenerate, "degenerate", f"{fmt.count_of(counts.degenerate, 'degenerate reply')}, scored as worst"),
        (counts.repeats_previous, "repeats", f"{_again(counts.repeats_previous)}, scored as worst"),
        (counts.timeout, "timeout", f"{fmt.count_of(counts.timeout, 'reply')} cut off by the time limit"),
        (
            counts.truncated_context,
            "context",
            f"{fmt.count_of(counts.truncated_context, 'reply')} cut off by a full context",
        ),
        (counts.truncated_length, "length", f"{fmt.count_of(counts.truncated_length, 'reply')} cut off by max_tokens"),
    )
    for count, flag, text in counted:
        if count:
            yield Finding(about=name, text=text, show=show(model=name, flag=flag))
    metrics = model.total.metrics
    failed = {key: value.failed for key, value in metrics.items() if value.failed}
    if failed:
        text = "scorers failed: " + ", ".join(f"{key} {fmt.count_of(count, 'time')}" for key, count in failed.items())
        yield Finding(about=name, text=text, show=show(model=name, flag="error"))


def _unscored(report: RunReport, model: ModelReport) -> Iterator[Finding]:
    """Replies without a value of the headline metric, by which models are ranked."""
    value = model.total.metrics.get(report.headline) if report.headline is not None else None
    if value is not None and value.unscored:
        have = "has" if value.unscored == 1 else "have"
        text = f"{fmt.count_of(value.unscored, 'reply')} {have} no {report.headline} score"
        yield Finding(about=model.name, text=text, show=show(model=model.name, flag="unscored"))


def _pairs(report: RunReport) -> Iterator[Finding]:
    ranking = report.ranking
    for pair in ranking.pairs if ranking is not None else ():
        if pair.verdict is PairDifference.CANNOT_TELL:
            assert ranking is not None
            scale = report.scales[ranking.metric]
            text = _doubt(pair, scale) if report.waves is None else _over(pair, report.waves, scale)
            yield Finding(about=f"{pair.first} against {pair.second}", text=text)


def _over(pair: Pair, waves: WavesReport, scale: Scale) -> str:
    found = pair_found(waves, pair)
    return "no look was taken yet" if found is None else why_over(found, waves, scale)


def _doubt(pair: Pair, scale: Scale) -> str:
    """The observed difference, what is missing, what is detected with power 0.8, how many sequences are needed."""
    paired = pair.paired
    if paired.n < SMALLEST_COMPARISON:
        few = fmt.count_of(paired.n, "sequence")
        return f"{few}: too few for a comparison, which needs at least {SMALLEST_COMPARISON}"
    parts = [f"observed difference {amount(paired.difference, scale)}"]
    if pair.turned:
        assert pair.missing is not None
        parts.append(missing_words(pair.missing))
    if bounds := missing_bounds(pair.missing, scale):
        parts.append(bounds)
    if pair.detectable is not None and (scale.width is None or pair.detectable <= scale.width):
        parts.append(
            f"a true difference of {amount(pair.detectable, scale).lstrip('+')} would be detected with 80\u202f% power"
        )
    more = more_needed(pair)
    if more is not None:
        parts.append(f"about {fmt.whole(more)} more sequences are needed to confirm a difference this large")
    return "; ".join(parts)


def more_needed(pair: Pair) -> int | None:
    """How many more sequences would confirm the difference seen; None if no number would, or none are needed."""
    if pair.needed is None or pair.needed <= pair.paired.n:
        return None
    return pair.needed - pair.paired.n


def _unranked(report: RunReport) -> Iterator[Finding]:
    if report.ranking is None:
        return
    for place in report.ranking.places:
        if place.rank is None and (len(report.models) > 1 or "missing" in (place.reason or "")):
            limit = f" (over {MISSING_LIMIT:.0%})" if "missing" in (place.reason or "") else ""
            yield Finding(
                about=place.model,
                text=f"not ranked: {place.reason}{limit}",
                show=show(model=place.model, flag="missing"),
            )


def _few(report: RunReport) -> Iterator[Finding]:
    count = len(report.sequences)
    if 0 < count < SMALLEST_INTERVAL:
        text = f"only {fmt.count_of(count, 'sequence')}: intervals and tests need at least {SMALLEST_INTERVAL}"
        yield Finding(about="All results", text=text)
    name = report.headline
    if name is None or count < SMALLEST_INTERVAL:
        return
    small = [tag for tag in report.tags if sum(tag in s.tags for s in report.sequences) < SMALLEST_INTERVAL]
    if small:
        listed = ", ".join(small[:6]) + (f" and {len(small) - 6} more" if len(small) > 6 else "")
        yield Finding(
            about="Results by tag", text=f"no intervals for {listed}: fewer than {SMALLEST_INTERVAL} sequences"
        )


def _again(count: int) -> str:
    return f"{fmt.count_of(count, 'reply')} that {are(count)} the one before again"


def _turns(model: ModelReport) -> str:
    return fmt.count_of(model.total.counts.turns_expected, "turn")
