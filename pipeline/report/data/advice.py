"""What to do about a run that does not say which model is better. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount
from nightjar.pipeline.report.data.compared import Pair, PairDifference
from nightjar.pipeline.report.data.findings import more_needed
from nightjar.pipeline.report.data.ranking import Ranking
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.statistics.paired import SMALLEST_COMPARISON

SMALL, LARGE, LARGE_SEQUENCES = "story-starters", "stories", 48
"""The bundled suites of stories, and how many sequences the large one has."""
FAR = 20
"""A difference that needs so many times the sequences there are is too small to look for."""


def advice(report: RunReport) -> tuple[str, ...]:
    """Sentences on what to do next; none where one model is best, or there is only one."""
    if len(report.models) < 2:
        return ()
    if report.ranking is None:
        return tuple(_judge(report))
    unsure = _undecided(report.ranking)
    if not unsure:
        return ()
    return (*_missing(report, unsure), *_sequences(report, unsure), *_judge(report), _read(report))


def _undecided(ranking: Ranking) -> list[Pair]:
    """The pairs of leaders that can't be told apart."""
    leaders = {place.model for place in ranking.leaders}
    return [p for p in ranking.pairs if p.verdict is PairDifference.CANNOT_TELL and {p.first, p.second} <= leaders]


def _missing(report: RunReport, unsure: list[Pair]) -> Iterator[str]:
    if any(pair.turned for pair in unsure):
        yield f"Have what is missing generated: `nightjar run retry {report.provenance.name}`."


def _sequences(report: RunReport, unsure: list[Pair]) -> Iterator[str]:
    """How many more would settle it, for the pair of leaders that needs the fewest."""
    assert report.ranking is not None
    if report.waves is not None:
        return  # whether more would tell is what its looks have decided
    there = report.ranking.sequences
    larger = f" `--suite {LARGE}` has {LARGE_SEQUENCES}." if report.provenance.suite_name == SMALL else ""
    if there < SMALLEST_COMPARISON:
        yield f"Ask more: at least {SMALLEST_COMPARISON} sequences are needed to compare at all.{larger}"
        return
    more = {count: pair for pair in unsure if not pair.turned and (count := more_needed(pair)) is not None}
    if not more:
        yield f"More sequences find smaller differences.{larger}"
        return
    count, pair = min(more.items(), key=lambda item: item[0])
    seen = amount(abs(pair.paired.difference or 0.0), report.scales[report.ranking.metric]).lstrip("+")
    if count > FAR * there:
        yield (
            f"{pair.first} and {pair.second} differ by {seen}, which about {fmt.whole(count)} more sequences would "
            "confirm: on such tasks take them for equal."
        )
        return
    yield (
        f"About {fmt.count_of(count, 'more sequence')} would confirm a difference as large as that between "
        f"{pair.first} and {pair.second} ({seen}).{larger}"
    )


def _judge(report: RunReport) -> Iterator[str]:
    if report.judging is None:
        yield (
            "Checks see whether conditions are met, not how well it is written. A judge reads the same replies: "
            f"`nightjar judge {report.provenance.name} --judge MODEL`."
        )


def _read(report: RunReport) -> str:
    return f"Read them side by side: `nightjar show {report.provenance.name}`."
