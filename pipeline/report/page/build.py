"""Builds the page that shows a run's report. Pure, except that charts are drawn."""

from __future__ import annotations

from collections.abc import Sequence, Set

from markupsafe import Markup

from nightjar.pipeline.report.data import findings
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.advice import advice
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.changes import Changes, ModelChange
from nightjar.pipeline.report.data.extremes import finest, longest, worst
from nightjar.pipeline.report.data.gaps import find_reference, gaps
from nightjar.pipeline.report.data.links import FLAGS, show
from nightjar.pipeline.report.data.ranking import Rank
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.page import doubt_tables, machine_tables, result_tables
from nightjar.pipeline.report.page.cost_table import MOST_DEAREST, cost_table, sequence_costs_table
from nightjar.pipeline.report.page.depth_table import depths_table
from nightjar.pipeline.report.page.fidelity_section import fidelity_section
from nightjar.pipeline.report.page.interval_bar import interval_bar
from nightjar.pipeline.report.page.judge_section import judge_section
from nightjar.pipeline.report.page.looks_table import looks_table
from nightjar.pipeline.report.page.page import (
    ChangedMetric,
    ChangedModel,
    ChangesView,
    Drawing,
    FlagOption,
    MachineTables,
    ModelLabel,
    Page,
    PageSubject,
    PlaceView,
    RankingView,
    ResultTables,
    SequenceView,
    SortOption,
    TranscriptsPage,
)
from nightjar.pipeline.report.page.reading import by_headline, by_length, side_by_side_view, with_code
from nightjar.pipeline.report.page.routes_table import routes_table
from nightjar.pipeline.report.page.tables import SERIES, Table
from nightjar.pipeline.report.page.transcript_views import JobView, sort_keys

READ = 4
"""How many of the best, the worst and the longest replies."""


def build_page(
    report: RunReport,
    shown: Set[str],
    drawings: Sequence[Drawing],
    fidelity_drawings: Sequence[Drawing],
    style: tuple[Markup, str],
    script: tuple[Markup, str],
    transcripts: Markup,
) -> Page:
    """The report's page.

    `shown`: ids of the jobs whose transcripts the page has. `style` and `script`: each with its hash.
    """
    run = report.provenance
    labels = model_labels([model.name for model in report.models])
    return Page(
        generated_by=report.generated_by,
        style=style[0],
        script=script[0],
        style_hash=style[1],
        script_hash=script[1],
        name=run.name,
        partial=run.partial,
        notices=tuple(notice for notice in report.notices if notice.topic == "run"),
        answer=answer(report),
        advice=tuple(with_code(step) for step in advice(report)),
        about=_about(report),
        several=len(report.models) > 1,
        models=labels,
        headline=report.headline,
        ranking=_ranking(report),
        changes=_changes(report, report.changes) if report.changes else None,
        no_changes=report.no_changes,
        failures=_subjects(findings.failures(report)),
        doubts=_subjects(findings.doubts(report)),
        results=_results(report),
        charts=tuple(drawings),
        judging=judge_section(report, shown),
        fidelity=fidelity_section(report, fidelity_drawings),
        side_by_side=side_by_side_view(report, labels, shown),
        best=by_headline(report, finest(report, READ), shown),
        worst=by_headline(report, worst(report, READ), shown),
        longest=by_length(report, longest(report, READ), shown),
        machine=_machine(report),
        reasons=_filled(result_tables.failures_table(report)),
        transcripts=transcripts,
        made=f"Made by nightjar {report.generated_by} on {report.generated_at:%Y-%m-%d %H:%M} UTC. Run {run.id}.",
    )


def build_transcripts(report: RunReport, jobs: Sequence[JobView], *, cut: bool) -> TranscriptsPage:
    """The part of the page with the transcripts; `cut` says that some texts are cut."""
    run, name = report.provenance, f"{slug(report.provenance.name, report.provenance.id)}.json"
    left_out = None
    if len(jobs) < len(report.jobs):
        left_out = f"{fmt.whole(len(jobs))} of {fmt.whole(len(report.jobs))} transcripts fit into this page"
    return TranscriptsPage(
        left_out=left_out,
        cut=cut,
        json_name=name,
        models=tuple(model.name for model in report.models),
        tags=report.tags,
        flags=tuple(FlagOption(flag=flag, label=label) for flag, label in FLAGS.items()),
        sort_options=tuple(SortOption(key=key, low=1 if low else 0) for key, low in sort_keys(report)),
        repeated=run.repeats > 1,
        sequences=_sequences(report, jobs),
    )


def model_labels(names: Sequence[str]) -> tuple[ModelLabel, ...]:
    """Models in the order of their colours."""
    return tuple(ModelLabel(name=name, series=at % SERIES + 1) for at, name in enumerate(names))


def _about(report: RunReport) -> str:
    run, variants = report.provenance, len(report.variants)
    models = len({model.input.name for model in report.models})
    tried = f"{fmt.count_of(variants, 'variant')}, " if variants else ""
    sizes = (
        f"{fmt.count_of(len(report.sequences), 'sequence')}, {fmt.count_of(models, 'model')}, "
        f"{tried}{run.repeats} repeat{'' if run.repeats == 1 else 's'}, seed {run.seed}"
    )
    if run.finished_at:
        when = f"Finished {run.finished_at:%Y-%m-%d %H:%M} UTC."
    else:
        when = f"Started {run.created_at:%Y-%m-%d %H:%M} UTC, not finished."
    return f"{run.suite_name} version {run.suite_version}: {sizes}. {when}"


def _ranking(report: RunReport) -> RankingView | None:
    ranking = report.ranking
    if ranking is None:
        return None
    labels = {label.name: label for label in model_labels([model.name for model in report.models])}
    before: Rank | None = None
    places = []
    for place in ranking.places:
        another = before is not None and before.rank != place.rank
        places.append(_place(report, place, labels[place.model], another))
        before = place
    return RankingView(
        metric=ranking.metric,
        sequences=ranking.sequences,
        places=tuple(places),
        pairs=doubt_tables.pairs_table(report) if ranking.pairs else None,
        strengths=doubt_tables.ranking_table(report) if ranking.pairs else None,
        looks=looks_table(report.waves, report.scales[report.waves.metric]) if report.waves is not None else None,
    )


def _place(report: RunReport, place: Rank, label: ModelLabel, another: bool) -> PlaceView:
    assert report.ranking is not None
    model = next(model for model in report.models if model.name == place.model)
    cell = result_tables.quality_cell(report, model, report.ranking.metric)
    return PlaceView(
        rank=place.group or fmt.ABSENT,
        model=label,
        link=cell.link,
        value=cell.text,
        note=cell.note,
        reason=place.reason,
        bar=interval_bar(report, place.model, label.series),
        next=another,
    )


def _changes(report: RunReport, changes: Changes) -> ChangesView:
    return ChangesView(
        baseline=changes.baseline,
        models=tuple(_changed_model(report, change) for change in changes.models),
        reason=changes.reason,
        marks=tuple(mark.words for mark in changes.marks),
        new_models=changes.new_models,
        gone_models=changes.gone_models,
        table=doubt_tables.changes_table(report, changes) if changes.models else None,
    )


def _changed_model(report: RunReport, change: ModelChange) -> ChangedModel:
    metrics = tuple(
        ChangedMetric(
            metric=metric.metric,
            verdict=metric.verdict,
            link=show(model=change.model, sort=metric.metric),
            before=fmt.metric_value(metric.before, report.scales[metric.metric]),
            after=fmt.metric_value(metric.after, report.scales[metric.metric]),
        )
        for metric in change.metrics
        if metric.told
    )
    marks = tuple(mark.words for mark in change.marks)
    incomplete = ""
    if change.incomplete:
        are = "is" if change.incomplete == 1 else "are"
        incomplete = f"{fmt.whole(change.incomplete)} of {fmt.whole(change.shared)} shared sequences {are} incomplete"
    return ChangedModel(name=change.model, shared=change.shared, incomplete=incomplete, metrics=metrics, marks=marks)


def _subjects(all_findings: Sequence[findings.Finding]) -> tuple[PageSubject, ...]:
    return tuple(
        PageSubject(about=about, findings=tuple(of_subject)) for about, of_subject in findings.by_subject(all_findings)
    )


def _results(report: RunReport) -> ResultTables:
    reference = find_reference(report, report.reference)
    by_tag = gaps(report, reference) if reference is not None else None
    repeated, count = report.provenance.repeats > 1, len(report.sequences)
    left_out = None
    if count > result_tables.MOST_SEQUENCES:
        left_out = f"The {result_tables.MOST_SEQUENCES} of {count} sequences with the lowest values"
    return ResultTables(
        models=result_tables.models_table(report),
        variants=_filled(result_tables.variants_table(report)),
        routes=_filled(routes_table(report)),
        criteria=result_tables.criteria_table(report) if report.quality_metrics() else None,
        tags=result_tables.tags_table(report, by_tag) if report.tags else None,
        depths=depths_table(report),
        reference=by_tag.reference if by_tag is not None else None,
        sequences=result_tables.sequences_table(report),
        sequences_left_out=left_out,
        turns=result_tables.turns_table(report),
        metrics=result_tables.metrics_table(report),
        spread=_filled(doubt_tables.spread_table(report)),
        repeated=_filled(doubt_tables.repeats_detail_table(report)) if repeated else None,
        repeats=result_tables.repeats_table(report) if repeated else None,
    )


def _machine(report: RunReport) -> MachineTables:
    count = len({cost.sequence for cost in report.sequence_costs})
    return MachineTables(
        speed=machine_tables.speed_table(report),
        machine=machine_tables.machine_table(report),
        costs=cost_table(report) if report.costs else None,
        run=machine_tables.run_table(report),
        facts=machine_tables.facts_table(report),
        parameters=machine_tables.parameters_table(report),
        sequence_costs=sequence_costs_table(report) if report.sequence_costs else None,
        costs_left_out=f"The {MOST_DEAREST} dearest of {count} sequences" if count > MOST_DEAREST else None,
    )


def _filled(table: Table) -> Table | None:
    return table if table.rows else None


def _system(own: str | None, report: RunReport) -> str | None:
    """A sequence's system prompt and fixed messages; where variants have others, where to look for them."""
    if all(variant.system is None for variant in report.variants):
        return own
    return f"{own or 'none'} (variants have others; see Variants under Models)"


def _sequences(report: RunReport, jobs: Sequence[JobView]) -> tuple[SequenceView, ...]:
    by_sequence: dict[str, list[JobView]] = {}
    for job in jobs:
        by_sequence.setdefault(job.sequence, []).append(job)
    return tuple(
        SequenceView(
            id=f"sequence-{at}",
            name=sequence.id,
            tags=tuple(sequence.tags),
            system=_system(sequence.opening, report),
            jobs=tuple(by_sequence[sequence.id]),
        )
        for at, sequence in enumerate(report.sequences)
        if sequence.id in by_sequence
    )
