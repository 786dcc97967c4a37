"""The report's tables of results: by model, criterion, tag, sequence, turn and repeat. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount
from nightjar.pipeline.report.data.compared import PairDifference
from nightjar.pipeline.report.data.gaps import Gap, Gaps
from nightjar.pipeline.report.data.group import Group
from nightjar.pipeline.report.data.links import show
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import bounds_words
from nightjar.pipeline.report.page.tables import (
    Cell,
    Table,
    columns_of,
    count_cell,
    measured,
    metric_cell,
    name_cell,
    with_note,
)
from nightjar.pipeline.scores import Scale

UNCHANGED = "as in the suite"
LONGEST_TEXT = 1_000
"""So much of a variant's text is in its table."""
MOST_SEQUENCES = 300
"""The most rows of the table by sequence; if there are more, those with the lowest values are shown."""


def models_table(report: RunReport) -> Table:
    """One row per model: quality, what is missing or truncated, speed."""
    quality = report.leading_metrics(3)
    rows: list[tuple[Cell, ...]] = []
    for at, model in enumerate(report.models):
        counts, speed, name = model.total.counts, model.total.speed, model.name
        cut = {
            "length": (counts.truncated_length, "by max_tokens"),
            "context": (counts.truncated_context, "by a full context"),
            "timeout": (counts.timeout, "by the time limit"),
        }
        flags = {"empty": counts.empty, "degenerate": counts.degenerate, "repeats": counts.repeats_previous}
        flag = next((flag for flag, count in flags.items() if count), "empty")
        cut_flag = next((flag for flag, (count, _) in cut.items() if count), "length")
        written = (
            count_cell(counts.unusable, show(model=name, flag=flag), counts.unusable_words, bad=True),
            count_cell(
                sum(count for count, _ in cut.values()),
                show(model=name, flag=cut_flag),
                ", ".join(f"{fmt.whole(count)} {why}" for count, why in cut.values() if count),
            ),
            measured(fmt.number, speed.decode_tokens_per_s, "nothing was decoded", show(model=name)),
            measured(fmt.seconds, speed.first_token_p50_s, "no first token", show(model=name)),
        )
        rows.append(
            (
                name_cell(model, at),
                *(quality_cell(report, model, metric) for metric in quality),
                count_cell(counts.turns, show(model=name), f"of {fmt.whole(counts.turns_expected)}"),
                count_cell(
                    counts.failed, show(model=name, flag="failed"), "job" if counts.failed == 1 else "jobs", bad=True
                ),
                *(written if report.generates else ()),
            )
        )
    columns = ["model", *(f"{name}>" for name in quality), "turns>", "failed>"]
    columns += ["unusable>", "cut off>", f"{fmt.PER_CONVERSATION}>", "first token>"] if report.generates else []
    return Table(id="models", columns=columns_of(columns), rows=tuple(rows))


def variants_table(report: RunReport) -> Table:
    """What each variant gives the models otherwise."""
    rows = []
    for variant in report.variants:
        parameters = ", ".join(f"{name}={value}" for name, value in variant.parameters.items())
        cells = [Cell(text=variant.name), _text("none" if variant.system == "" else variant.system)]
        rows.append((*cells, _text(variant.prompt), Cell(text=parameters or UNCHANGED)))
    return Table(
        id="variants", columns=columns_of(("variant", "system prompt", "prompt", "parameters")), rows=tuple(rows)
    )


def _text(text: str | None) -> Cell:
    shown = UNCHANGED if text is None else text[:LONGEST_TEXT]
    more = len(text or "") - len(shown)
    return Cell(text=shown, note=f"and {fmt.count_of(more, 'more character')}, in the JSON report" if more > 0 else "")


def quality_cell(report: RunReport, model: ModelReport, name: str) -> Cell:
    """A metric's cell, with what the missing replies could make of its mean."""
    cell = metric_cell(report, model.total, name, show(model=model.name, sort=name))
    return with_note(cell, bounds_words(model, name, report.scales[name]))


def criteria_table(report: RunReport) -> Table:
    """Heat map of every metric with a better end, criteria by models."""
    rows = []
    for name in report.quality_metrics():
        scale = report.scales[name]
        cells = (
            with_note(
                metric_cell(report, model.total, name, show(model=model.name, sort=name), heat=True),
                bounds_words(model, name, scale),
            )
            for model in report.models
        )
        rows.append((Cell(text=name, note=_ends(scale)), *cells))
    return Table(id="criteria", columns=columns_of(_columns("criterion", report)), rows=tuple(rows))


def tags_table(report: RunReport, gaps: Gaps | None) -> Table:
    """Heat map of the headline metric by tag, with each model's gap to the reference model, if there are gaps."""
    name = report.headline_of_parts or "words"
    rows = []
    for tag in report.tags:
        cells = []
        for model in report.models:
            group = model.by_tag.get(tag)
            link = show(model=model.name, tag=tag, sort=name)
            cell = _heat_cell(report, group, name, link)
            gap = gaps.gaps.get((tag, model.name)) if gaps is not None else None
            cells.append(_with_gap(cell, gap, report.scales[name]) if gap is not None else cell)
        count = sum(tag in sequence.tags for sequence in report.sequences)
        rows.append((Cell(text=tag, note=f"{count} sequence{'' if count == 1 else 's'}"), *cells))
    return Table(id="tags", columns=columns_of(_columns("tag", report)), rows=tuple(rows))


def sequences_table(report: RunReport) -> Table:
    """The headline metric by sequence; if there are very many, the MOST_SEQUENCES with the lowest values."""
    names = [sequence.id for sequence in report.sequences]
    if len(names) > MOST_SEQUENCES:
        lowest = sorted(names, key=lambda name: _lowest(report, name))[:MOST_SEQUENCES]
        names = [name for name in names if name in set(lowest)]
    return _by(
        report,
        "sequences",
        "sequence",
        names,
        lambda model, name: model.by_sequence.get(name),
        lambda model, name: show(model=model, sequence=name),
        lambda name: show(sequence=name),
    )


def repeats_table(report: RunReport) -> Table:
    """The headline metric by repeat; repeats with the same number are otherwise unrelated."""
    names = [str(repeat + 1) for repeat in sorted({key for model in report.models for key in model.by_repeat})]
    return _by(
        report,
        "repeats",
        "repeat",
        names,
        lambda model, name: model.by_repeat.get(int(name) - 1),
        lambda model, name: show(model=model, repeat=int(name) - 1),
        lambda name: show(repeat=int(name) - 1),
    )


def metrics_table(report: RunReport) -> Table:
    """Every metric of every model, with its n and the counts of what has no value."""
    rows = []
    for name in report.metrics:
        for at, model in enumerate(report.models):
            value = model.total.metrics.get(name)
            if value is None:
                continue
            here = model.name
            rows.append(
                (
                    Cell(text=name),
                    name_cell(model, at, facts=False),
                    metric_cell(report, model.total, name, show(model=here, sort=name)),
                    Cell(text=fmt.whole(value.n)),
                    Cell(text=fmt.whole(value.values)),
                    count_cell(value.worst, show(model=here, sort=name)),
                    count_cell(value.unscored, show(model=here, flag="unscored"), bad=True),
                    count_cell(value.failed, show(model=here, flag="error"), bad=True),
                    count_cell(value.missing, show(model=here, flag="missing"), bad=True),
                )
            )
    columns = (
        "metric",
        "model",
        "mean>",
        "sequences>",
        "turns>",
        "scored as worst>",
        "unscored>",
        "failed>",
        "missing>",
    )
    return Table(id="metrics", columns=columns_of(columns), rows=tuple(rows))


def turns_table(report: RunReport) -> Table:
    """How the turns of a conversation differ: length, empty replies, cost."""
    rows = []
    for turn in sorted({key for model in report.models for key in model.by_turn}):
        for at, model in enumerate(report.models):
            group = model.by_turn.get(turn)
            if group is None:
                continue
            counts, here = group.counts, show(model=model.name)
            computed = counts.prompt_tokens - counts.reused_tokens
            written = (
                count_cell(counts.empty, show(model=model.name, flag="empty"), bad=True),
                metric_cell(report, group, "words", here),
                count_cell(counts.reply_tokens, here),
            )
            rows.append(
                (
                    Cell(text=str(turn + 1)),
                    name_cell(model, at, facts=False),
                    count_cell(counts.turns, here, f"of {fmt.whole(counts.turns_expected)}"),
                    *(written if report.generates else ()),
                    count_cell(computed, here, f"{fmt.whole(counts.reused_tokens)} reused"),
                    measured(fmt.seconds, group.speed.latency_p50_s, "no turn", here),
                )
            )
    written_columns = ("empty>", "words>", "reply tokens>") if report.generates else ()
    columns = ("turn", "model", "replies>", *written_columns, "prompt tokens computed>", "median>")
    return Table(id="turns", columns=columns_of(columns), rows=tuple(rows))


def failures_table(report: RunReport) -> Table:
    """Reasons of failed jobs and of unusable replies."""
    rows = [
        (
            name_cell(model, at, facts=False),
            Cell(text=reason),
            count_cell(times, show(model=model.name, find=reason.partition(": ")[2] or reason)),
        )
        for at, model in enumerate(report.models)
        for reason, times in model.total.counts.failures.items()
    ]
    return Table(id="failures", columns=columns_of(("model", "reason", "times>")), rows=tuple(rows))


def _with_gap(cell: Cell, gap: Gap, scale: Scale) -> Cell:
    """The cell with the difference from the reference model, marked if it is significant."""
    if gap.paired.difference is None:
        return with_note(cell, "no complete sequence in common")
    shown = amount(gap.paired.difference, scale)
    mark = "" if gap.verdict is PairDifference.CANNOT_TELL else gap.verdict.value
    marked = with_note(cell, f"{shown}, {mark}" if mark else shown)
    return Cell(**{**vars(marked), "mark": mark})


def _by(
    report: RunReport,
    table: str,
    what: str,
    names: Iterable[str],
    group_of: Callable[[ModelReport, str], Group | None],
    cell_link: Callable[[str, str], str],
    row_link: Callable[[str], str],
) -> Table:
    name = report.headline_of_parts or "words"
    rows = []
    for key in names:
        cells = []
        for model in report.models:
            group = group_of(model, key)
            link = cell_link(model.name, key)
            cells.append(_heat_cell(report, group, name, link))
        rows.append((Cell(text=key, link=row_link(key)), *cells))
    return Table(id=table, columns=columns_of(_columns(what, report)), rows=tuple(rows))


def _heat_cell(report: RunReport, group: Group | None, name: str, link: str) -> Cell:
    """A part's mean, with how many of its scores are missing."""
    if group is None:
        return Cell(text=fmt.ABSENT, note="no jobs")
    cell, metric = metric_cell(report, group, name, link, heat=True), group.metrics.get(name)
    gone = metric.gone if metric is not None and metric.mean is not None else 0
    return with_note(cell, f"{fmt.whole(gone)} missing" if gone else "")


def _columns(first: str, report: RunReport) -> tuple[str, ...]:
    return (first, *(f"{model.name}>" for model in report.models))


def _lowest(report: RunReport, sequence: str) -> float:
    """The worst value of the headline metric that any model has for a sequence, signed so that more is better."""
    name = report.headline_of_parts or "words"
    sign = -1.0 if report.scales[name].direction.value == "lower" else 1.0
    groups = [model.by_sequence.get(sequence) for model in report.models]
    means = [group.metrics[name].mean for group in groups if group is not None and name in group.metrics]
    return min((sign * value for value in means if value is not None), default=0.0)


def _ends(scale: Scale) -> str:
    if scale.worst is None or scale.best is None:
        return ""
    return f"{fmt.metric_value(scale.worst, scale)} worst, {fmt.metric_value(scale.best, scale)} best"
