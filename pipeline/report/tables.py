"""The report's tables as plain data; an empty cell says why it is empty. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.report import format as fmt
from pipeline.report.answer import amount, difference, verdict_words
from pipeline.report.data import ModelReport, RunReport
from pipeline.report.group import Counts, Group
from pipeline.report.ranking import Pair, Ranking
from pipeline.scoring.scorer import Scale
from pipeline.statistics.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class Cell:
    """`note` stands small under the text: an interval, a unit, or the reason of an empty cell."""

    text: str
    note: str = ""
    title: str = ""
    series: int | None = None
    """Number of the model whose colour marks the cell, from 1."""
    link: str | None = None
    """Id of an element of the page."""
    alert: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns whose name ends in ">" hold numbers; the first column names the row."""

    id: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def text_table(name: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table of plain texts."""
    return Table(id=name, columns=tuple(columns), rows=tuple(tuple(Cell(text=text) for text in row) for row in rows))


def models_table(report: RunReport) -> Table:
    """The answer: one row per model."""
    quality = report.leading_metrics(3)
    ranked = report.ranking is not None and len(report.models) > 1
    rows = []
    for at, model in enumerate(report.models):
        counts, speed = model.total.counts, model.total.speed
        cut = counts.truncated_length + counts.truncated_context
        bad = counts.empty + counts.degenerate
        rows.append(
            (
                name_cell(model, at),
                *([_rank_cell(report.ranking, model.name)] if ranked else []),
                *(_quality_cell(report, model, name) for name in quality),
                Cell(text=f"{fmt.whole(counts.turns)}", note=f"of {fmt.whole(counts.turns_expected)}"),
                Cell(text=fmt.whole(counts.failed), note="jobs", alert=counts.failed > 0),
                Cell(text=fmt.whole(bad), note=f"{counts.empty} empty" if bad else "", alert=bad > 0),
                Cell(text=fmt.whole(cut), note=_cut(counts)),
                measured(fmt.number, speed.decode_tokens_per_s, "nothing was decoded"),
                measured(fmt.seconds, speed.first_token_p50_s, "no first token"),
            )
        )
    columns = (
        "model",
        *(["rank>"] if ranked else []),
        *(f"{name}>" for name in quality),
        "turns>",
        "failed>",
        "empty or degenerate>",
        "cut off>",
    )
    return Table(id="models", columns=(*columns, "tokens/s>", "first token>"), rows=tuple(rows))


def pairs_table(report: RunReport) -> Table:
    """Each pair of ranked models by the headline metric: difference, doubt, verdict."""
    ranking = report.ranking
    assert ranking is not None
    scale = report.scales[ranking.metric]
    rows = [
        (
            Cell(text=f"{pair.first} against {pair.second}"),
            Cell(text=difference(pair, scale), note=_difference_interval(pair, scale)),
            Cell(text=f"{pair.paired.wins} / {pair.paired.ties} / {pair.paired.losses}"),
            measured(fmt.number, pair.p_adjusted, "too few sequences"),
            Cell(text=verdict_words(pair)),
            Cell(text=amount(pair.detectable, scale).lstrip("+"))
            if pair.detectable
            else Cell(text=fmt.ABSENT, note="no spread"),
        )
        for pair in ranking.pairs
    ]
    columns = ("models", "difference>", "better / equal / worse>", "p, adjusted>", "verdict", "could be seen>")
    return Table(id="pairs", columns=columns, rows=tuple(rows))


def metrics_table(report: RunReport) -> Table:
    """Every metric of every model with its n, and what has no number."""
    rows = []
    for name in report.metrics:
        for at, model in enumerate(report.models):
            value = model.total.metrics.get(name)
            if value is None:
                continue
            rows.append(
                (
                    Cell(text=name),
                    name_cell(model, at, facts=False),
                    metric_cell(report, model.total, name),
                    Cell(text=fmt.whole(value.n)),
                    Cell(text=fmt.whole(value.values)),
                    Cell(text=fmt.whole(value.worst)),
                    Cell(text=fmt.whole(value.unscored), alert=value.unscored > 0),
                    Cell(text=fmt.whole(value.failed), alert=value.failed > 0),
                    Cell(text=fmt.whole(value.missing), alert=value.missing > 0),
                )
            )
    columns = ("metric", "model", "mean>", "sequences>", "turns>", "as worst>", "unscored>", "failed>", "missing>")
    return Table(id="metrics", columns=columns, rows=tuple(rows))


def tags_table(report: RunReport) -> Table:
    """The headline metric by tag; words where there is none."""
    return _by(report, "tags", "tag", report.tags, lambda model, tag: model.by_tag.get(tag))


def sequences_table(report: RunReport) -> Table:
    """The headline metric by sequence, each a link to its transcripts."""
    names = [sequence.id for sequence in report.sequences]
    links = {name: f"sequence-{at}" for at, name in enumerate(names)}
    return _by(report, "sequences", "sequence", names, lambda model, name: model.by_sequence.get(name), links)


def repeats_table(report: RunReport) -> Table:
    """The headline metric by repeat."""
    names = [str(repeat + 1) for repeat in sorted({key for model in report.models for key in model.by_repeat})]
    return _by(report, "repeats", "repeat", names, lambda model, name: model.by_repeat.get(int(name) - 1))


def turns_table(report: RunReport) -> Table:
    """How the turns of a conversation differ: length, emptiness, cost."""
    rows = []
    for turn in sorted({key for model in report.models for key in model.by_turn}):
        for at, model in enumerate(report.models):
            group = model.by_turn.get(turn)
            if group is None:
                continue
            counts = group.counts
            computed = counts.prompt_tokens - counts.reused_tokens
            rows.append(
                (
                    Cell(text=str(turn + 1)),
                    name_cell(model, at, facts=False),
                    Cell(text=fmt.whole(counts.turns), note=f"of {fmt.whole(counts.turns_expected)}"),
                    Cell(text=fmt.whole(counts.empty), alert=counts.empty > 0),
                    metric_cell(report, group, "words"),
                    Cell(text=fmt.whole(counts.reply_tokens)),
                    Cell(text=fmt.whole(computed), note=f"{fmt.whole(counts.reused_tokens)} reused"),
                    measured(fmt.seconds, group.speed.latency_p50_s, "no turn"),
                )
            )
    columns = ("turn", "model", "replies>", "empty>", "words>", "reply tokens>", "prompt tokens computed>", "median>")
    return Table(id="turns", columns=columns, rows=tuple(rows))


def failures_table(report: RunReport) -> Table:
    """Reasons of failed jobs and of empty and degenerate replies."""
    rows = [
        (name_cell(model, at, facts=False), Cell(text=reason), Cell(text=fmt.whole(times)))
        for at, model in enumerate(report.models)
        for reason, times in model.total.counts.failures.items()
    ]
    return Table(id="failures", columns=("model", "reason", "times>"), rows=tuple(rows))


def name_cell(model: ModelReport, at: int, *, facts: bool = True) -> Cell:
    """A model's name in its colour, with its size and quantisation."""
    known = model.input.facts
    note = f"{_billions(known.parameters)}, {known.quantisation}" if known and facts else ""
    return Cell(text=model.name, note=note if facts else "", series=at % 8 + 1)


def metric_cell(report: RunReport, group: Group, name: str) -> Cell:
    """A mean with its interval, or why there is none."""
    value = group.metrics.get(name)
    if value is None:
        return Cell(text=fmt.ABSENT, note="nothing to score")
    if value.mean is None:
        return Cell(text=fmt.ABSENT, note=value.reason or "", alert=True)
    scale = report.scales[name]
    return Cell(text=fmt.metric(value, scale), note=fmt.interval(value.interval, scale), title=fmt.metric_title(value))


def measured(show: Callable[[float], str], value: float | None, reason: str) -> Cell:
    """A measurement, or why there is none."""
    return Cell(text=fmt.ABSENT, note=reason) if value is None else Cell(text=show(value))


def _quality_cell(report: RunReport, model: ModelReport, name: str) -> Cell:
    """A metric; for the headline of a model with something missing also its bounds."""
    cell = metric_cell(report, model.total, name)
    places = report.ranking.places if report.ranking and report.ranking.metric == name else ()
    place = next((place for place in places if place.model == model.name), None)
    if place is None or place.to_worst is None or place.to_best is None or place.to_best == place.to_worst:
        return cell
    bounds = Interval(low=min(place.to_worst, place.to_best), high=max(place.to_worst, place.to_best), method="bounds")
    within = f"{fmt.interval(bounds, report.scales[name])} by what is missing"
    return replace(cell, note=f"{cell.note}; {within}" if cell.note else within)


def _rank_cell(ranking: Ranking | None, model: str) -> Cell:
    place = next((place for place in ranking.places if place.model == model), None) if ranking else None
    if place is None or place.rank is None:
        return Cell(text=fmt.ABSENT, note=place.reason or "" if place else "no value", alert=True)
    return Cell(text=str(place.rank))


def _difference_interval(pair: Pair, scale: Scale) -> str:
    found = pair.paired.interval
    return f"{amount(found.low, scale)} to {amount(found.high, scale)}" if found else "too few sequences"


def _by(
    report: RunReport,
    table: str,
    what: str,
    names: Iterable[str],
    group_of: Callable[[ModelReport, str], Group | None],
    links: Mapping[str, str] | None = None,
) -> Table:
    name = report.headline or "words"
    rows = []
    for key in names:
        groups = [group_of(model, key) for model in report.models]
        cells = [
            metric_cell(report, group, name) if group else Cell(text=fmt.ABSENT, note="no job") for group in groups
        ]
        rows.append((Cell(text=key, link=links[key] if links else None), *cells))
    columns = (what, *(f"{model.name}>" for model in report.models))
    return Table(id=table, columns=columns, rows=tuple(rows))


def _cut(counts: Counts) -> str:
    parts = ((counts.truncated_length, "by length"), (counts.truncated_context, "by context"))
    return ", ".join(f"{count} {why}" for count, why in parts if count)


def _billions(parameters: int) -> str:
    return f"{fmt.number(parameters / 1e9)} B" if parameters >= 1e8 else f"{fmt.number(parameters / 1e6)} M"
