"""Judged runs as evidence for a policy: the sequences that every candidate answered, with their scores and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.routing.policies import is_routed
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.routing.learn import RouteCandidates, SequenceEvidence
from nightjar.pipeline.routing.nearest import opening_prompt
from nightjar.pipeline.routing.route import RequestFeatures
from nightjar.pipeline.scores import Direction


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What runs say of the candidates. `usd`: a conversation of each; 0 for a local one, None where unknown."""

    metric: str
    sequences: tuple[SequenceEvidence, ...]
    candidates: RouteCandidates
    usd: Mapping[str, float | None]
    runs: tuple[str, ...]


def evidence_of(reports: Sequence[RunReport], *, metric: str | None, default: str | None, margin: float) -> Evidence:
    """Raises UsageError where the runs cannot be learnt from together."""
    names = list(dict.fromkeys(model.name for report in reports for model in report.models))
    names = [name for name in names if not is_routed(name)]  # policies are made of these models
    if len(names) < 2:
        raise UsageError("A policy chooses among models: give runs in which at least two answered the same sequences.")
    chosen = metric or reports[0].headline
    scale = None if chosen is None else reports[0].scales.get(chosen)
    if chosen is None or scale is None or scale.direction is Direction.NONE:
        raise UsageError(f"{chosen or 'no metric'} has no better end in these runs; choose another with --metric.")
    assert scale.worst is not None
    assert scale.best is not None
    span, sign = abs(scale.best - scale.worst), 1.0 if scale.best > scale.worst else -1.0
    usd = {name: _usd(name, reports) for name in names}
    asked = {sequence.id: sequence for report in reports for sequence in report.sequences}
    scores = {name: _scores(name, chosen, reports) for name in names}
    shared = [each for each in asked if all(each in scores[name] for name in names)]
    sequences = tuple(
        SequenceEvidence(
            id=each,
            tags=_shown_tags(asked[each]),
            scores={name: sign * scores[name][each] for name in names},
            prompt=opening_prompt(asked[each].messages, asked[each].prompt_text(0)),
        )
        for each in shared
    )
    order = sorted(names, key=lambda name: (usd[name] is None, usd[name] or 0.0, names.index(name)))
    if default is not None and default not in names:
        raise UsageError(f"--default {default} is none of these runs' models: {', '.join(names)}.")
    candidates = RouteCandidates(names=tuple(order), default=default or order[-1], margin=margin * span, span=span)
    ids = tuple(report.provenance.id for report in reports)
    return Evidence(metric=chosen, sequences=sequences, candidates=candidates, usd=usd, runs=ids)


def _shown_tags(sequence: PromptSequence) -> tuple[str, ...]:
    """As a request for it would show them."""
    layers = [sequence.parameters, *(turn.parameters for turn in sequence.turns)]
    schema = any(layer.get("json_schema") is not None for layer in layers)
    return RequestFeatures(tags=tuple(sequence.tags), schema=schema).shown_tags


def _scores(name: str, metric: str, reports: Iterable[RunReport]) -> dict[str, float]:
    """Sequence -> mean score of the model, over repeats and runs; a sequence without a score is left out."""
    found: dict[str, list[float]] = {}
    for model in (model for report in reports for model in report.models if model.name == name):
        for sequence, group in model.by_sequence.items():
            value = group.metrics.get(metric)
            if value is not None and value.mean is not None:
                found.setdefault(sequence, []).append(value.mean)
    return {sequence: sum(values) / len(values) for sequence, values in found.items()}


def _usd(name: str, reports: Iterable[RunReport]) -> float | None:
    """What a conversation costs at its endpoint; a model without one costs nothing there."""
    costs = []
    for report in reports:
        model = next((model for model in report.models if model.name == name), None)
        if model is None or model.input.facts is None or model.input.facts.remote is None:
            continue
        costs += [
            cost.usd_per_job for cost in report.costs if cost.model == model.input.name and cost.role == "replies"
        ]
    if any(cost is None for cost in costs):
        return None
    known = [cost for cost in costs if cost is not None]
    return sum(known) / len(known) if known else 0.0
