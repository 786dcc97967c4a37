"""Puts a report together from a run's scored jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.report.data.group import Group, GroupTally, reading
from nightjar.pipeline.report.data.model import ModelInput, ModelReport
from nightjar.pipeline.report.data.notices import notices
from nightjar.pipeline.report.data.ranking import ranking
from nightjar.pipeline.report.data.resources import resources
from nightjar.pipeline.report.data.run_report import Provenance, RunReport, headline, occurring
from nightjar.pipeline.report.data.sampling import Difference, parameter_uses, sampling_differences
from nightjar.pipeline.report.data.spread import Detail, detail
from nightjar.pipeline.report.data.waves import WavesReport
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.transcripts import JobRow

Key = TypeVar("Key", str, int)
LineNames = Mapping[str, Sequence[Sequence[str]]]
"""Sequence id -> for every turn, the names of the scores it should have."""


def assemble(
    *,
    provenance: Provenance,
    models: Sequence[ModelInput],
    sequences: Sequence[PromptSequence],
    jobs: Sequence[JobRow],
    lines: LineNames,
    scales: Mapping[str, Scale],
    now: datetime,
    version: str,
    scorer_versions: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    waves: WavesReport | None = None,
) -> RunReport:
    """The report; jobs come scored (`JobRow.scored`) and in the run's order."""
    own: dict[str, list[JobRow]] = {}
    for job in jobs:
        own.setdefault(job.contestant, []).append(job)
    averages = {sequence.id: sequence.averages for sequence in sequences if sequence.averages}
    reports = tuple(_model(model, own.get(model.contestant, []), lines, scales, averages) for model in models)
    primary = provenance.primary_metric if waves is None else waves.metric
    first = headline(occurring(reports, scales), scales, primary)
    looked_at = waves if waves is not None and waves.metric == first else None
    return RunReport(
        provenance=provenance,
        generated_at=now,
        generated_by=version,
        notices=notices(
            provenance,
            reports,
            jobs,
            _unintended(sampling_differences(jobs), models),
            withheld=any(sequence.withheld for sequence in sequences),
        ),
        models=reports,
        sequences=tuple(sequences),
        jobs=tuple(jobs),
        scales=MappingProxyType(dict(scales)),
        scorer_versions=scorer_versions,
        ranking=ranking(reports, first, scales[first], looked_at) if first is not None else None,
        waves=waves,
    )


def _unintended(differences: Sequence[Difference], models: Sequence[ModelInput]) -> list[Difference]:
    """Without the parameters that variants set: those are what is tried."""
    tried = {name for model in models if model.variant is not None for name in model.variant.parameters}
    return [difference for difference in differences if difference.parameter not in tried]


def _model(
    model: ModelInput,
    jobs: Sequence[JobRow],
    lines: LineNames,
    scales: Mapping[str, Scale],
    averages: Mapping[str, Mapping[str, str]],
) -> ModelReport:
    total = GroupTally()
    by_tag: dict[str, GroupTally] = {}
    by_sequence: dict[str, GroupTally] = {}
    by_repeat: dict[int, GroupTally] = {}
    by_turn: dict[int, GroupTally] = {}
    tags: dict[str, tuple[str, ...]] = {}
    for job in jobs:
        tags[job.sequence] = job.tags
        around = [_of(by_sequence, job.sequence), _of(by_repeat, job.repeat)]
        for tally in around:
            tally.begin(job)
        _turns(job, around, by_turn, lines.get(job.sequence, ()))
    for sequence, tally in by_sequence.items():
        for group in (total, *(_of(by_tag, tag) for tag in tags[sequence])):
            group.merge(tally)
    for sequence, parts in averages.items():
        if sequence in by_sequence:
            by_sequence[sequence].average(sequence, parts)
            total.add_averages(by_sequence[sequence])
    whole = total.group(scales)
    return ModelReport(
        input=model,
        total=whole,
        by_tag=_groups(by_tag.items(), scales),
        by_sequence=_groups(by_sequence.items(), scales),
        by_turn=_groups(sorted(by_turn.items()), scales),
        by_repeat=_groups(sorted(by_repeat.items()), scales),
        resources=resources(model, whole.counts.reply_tokens),
        parameters=parameter_uses(jobs),
        details=_details(total, scales),
    )


def _details(total: GroupTally, scales: Mapping[str, Scale]) -> Mapping[str, Detail]:
    details = {}
    for name in scales:
        tally = total.metrics.get(name)
        means = tally.sequence_means(geometric=scales[name].geometric) if tally is not None else {}
        if tally is not None and means and not tally.over_parts:
            details[name] = detail(name, means, tally.repeats(), scales[name])
    return MappingProxyType(details)


def _turns(
    job: JobRow, around: Sequence[GroupTally], by_turn: dict[int, GroupTally], lines: Sequence[Sequence[str]]
) -> None:
    """Adds every turn of a job to the groups it belongs to."""
    there = {turn.index: turn for turn in job.turns}
    for index in range(job.turns_total):
        at_turn = _of(by_turn, index)
        at_turn.begin(job)
        turn = there.get(index)
        if turn is None:
            expected = lines[index] if index < len(lines) else ()
            for tally in (*around, at_turn):
                tally.miss(job, expected)
        else:
            scored = reading(turn)
            for tally in (*around, at_turn):
                tally.add(job, scored)


def _of(tallies: dict[Key, GroupTally], key: Key) -> GroupTally:
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = GroupTally()
    return tally


def _groups(tallies: Iterable[tuple[Key, GroupTally]], scales: Mapping[str, Scale]) -> Mapping[Key, Group]:
    return MappingProxyType({key: tally.group(scales) for key, tally in tallies})
