"""Two models, or one model on two nights, sequence by sequence. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.answer_names import answered_as_words
from nightjar.jobs.models import LoadFacts
from nightjar.pipeline.compare.costs import (
    CostComparison,
    Dollars,
    dollars,
    dollars_of,
    run_dollars,
    speeds_and_memory,
    unlike_probes,
)
from nightjar.pipeline.compare.pair_names import pair_names
from nightjar.pipeline.compare.versions import apart_notice, scored_apart
from nightjar.pipeline.judging.verdicts import is_judges
from nightjar.pipeline.report.data.compared import ComparedSeries, Pair, adjusted_tests, compare_series, judged
from nightjar.pipeline.report.data.judge_findings import unlike
from nightjar.pipeline.report.data.likelihood_notices import layouts_of
from nightjar.pipeline.report.data.model import ModelReport, ParameterUse
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import series_of
from nightjar.pipeline.scores import Direction, Scale
from nightjar.pipeline.statistics.intervals import mean


class PairBy(StrEnum):
    """What makes two sequences the same."""

    CONTENT = "content"
    """All that reaches the model, whatever they are called."""
    ID = "id"
    """Their ids: for two suites, or two versions of one, that ask the same otherwise."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A contestant of a run."""

    report: RunReport
    model: ModelReport
    pair_by: PairBy = PairBy.CONTENT

    @property
    def name(self) -> str:
        return f"{self.report.provenance.name}:{self.model.name}"

    @property
    def keys(self) -> dict[str, str]:
        """Sequence id -> what the same sequence has on the other side, too."""
        by_id = self.pair_by is PairBy.ID
        return {sequence.id: sequence.id if by_id else sequence.digest for sequence in self.report.sequences}

    @property
    def dollars(self) -> Dollars:
        """What it cost."""
        return dollars_of(self.report, self.model, self.keys)


@dataclass(frozen=True, kw_only=True)
class MetricComparison:
    """`other` against `base` over the sequences both have; the pair is turned so that more is better."""

    metric: str
    scale: Scale
    base: float | None
    other: float | None
    compared: ComparedSeries
    pair: Pair


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One model against another, over the sequences that both have."""

    base: Side
    other: Side
    shared: int
    only_base: tuple[str, ...]
    """Sequences (ids) that only the base has."""
    only_other: tuple[str, ...]
    notices: tuple[str, ...]
    metrics: tuple[MetricComparison, ...]
    """With a better end; p-values are adjusted over them (Holm)."""
    measures: tuple[MetricComparison, ...]
    costs: tuple[CostComparison, ...]
    apart: Mapping[str, str] = field(default_factory=dict)
    """Metrics left out, since the two sides were scored by different versions of a scorer -> what differs."""
    run_costs: tuple[CostComparison, ...] = ()
    """What the two runs cost, with all their models; judging apart."""

    @property
    def incomplete(self) -> int:
        """How many of the shared sequences lack a reply or a score, by the metric that lacks most."""
        return max((metric.pair.missing.sequences for metric in self.metrics if metric.pair.missing), default=0)


def sides(report: RunReport, model: str | None, pair_by: PairBy = PairBy.CONTENT) -> list[Side]:
    """The contestants of an operand RUN[:MODEL[+VARIANT]]; a model stands for all its variants.

    Raises UnknownNameError.
    """
    chosen = [each for each in report.models if model in (None, each.name, each.input.name)]
    if not chosen:
        known = [each.name for each in report.models]
        raise UnknownNameError("model", model or "", known, within=f"run {report.provenance.name!r}")
    return [Side(report=report, model=each, pair_by=pair_by) for each in chosen]


def pair_up(base: Sequence[Side], other: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Which models to compare: the only two, else those of the same name. Raises UsageError when none fit."""
    before, after = ({side.model.name: side for side in each} for each in (base, other))
    same_run = base[0].report.provenance.name == other[0].report.provenance.name
    names = pair_names(list(before), list(after), same_run=same_run)
    pairs = [(before[name], after[counterpart]) for name, counterpart in names]
    if not pairs:
        raise UsageError(
            f"{base[0].report.provenance.name} and {other[0].report.provenance.name} have no model name in common. "
            "Name the models to compare: RUN:MODEL RUN:MODEL."
        )
    return pairs


def unpaired(base: Sequence[Side], other: Sequence[Side], pairs: Sequence[tuple[Side, Side]]) -> list[str]:
    """Names of the sides that are in no pair: models that only one of the runs has."""
    held = {side.name for pair in pairs for side in pair}
    return [side.name for side in (*base, *other) if side.name not in held]


def compare_sides(base: Side, other: Side) -> Comparison:
    """Aligns the sequences, compares every metric both have. Raises UsageError when no sequence is shared."""
    here, there = base.keys, other.keys
    shared = set(here.values()) & set(there.values())
    if not shared:
        alike = len(here.keys() & there.keys())
        hint = f" {alike} have the same id and other prompts: --pair-by id compares those." if alike else ""
        raise UsageError(f"{base.name} and {other.name} share no sequence, so there is nothing to compare.{hint}")
    judged_apart = unlike(base.report, other.report)
    apart = {
        metric: difference
        for metric, difference in scored_apart(base.report, other.report).items()
        if _both_have(base, other, metric)
    }
    scales = {
        name: scale
        for name, scale in base.report.scales.items()
        if name in other.report.scales and name not in apart and not (judged_apart and is_judges(name))
    }
    metrics = [_metric(base, other, name, scale) for name, scale in scales.items() if _both_have(base, other, name)]
    quality = [metric for metric in metrics if metric.scale.direction is not Direction.NONE]
    adjusted = adjusted_tests({metric.metric: metric.compared for metric in quality})
    return Comparison(
        base=base,
        other=other,
        shared=len(shared),
        only_base=tuple(name for name, digest in here.items() if digest not in shared),
        only_other=tuple(name for name, digest in there.items() if digest not in shared),
        notices=(*_notices(base, other), *apart_notice(apart, base.report, other.report)),
        metrics=tuple(_adjusted(metric, adjusted[metric.metric], len(quality)) for metric in quality),
        measures=tuple(metric for metric in metrics if metric.scale.direction is Direction.NONE),
        costs=(*speeds_and_memory(base.model, other.model), *dollars(base.dollars, other.dollars, shared)),
        apart=apart,
        run_costs=run_dollars(base.report, other.report),
    )


def _both_have(base: Side, other: Side, metric: str) -> bool:
    return metric in base.model.total.metrics and metric in other.model.total.metrics


def _metric(base: Side, other: Side, metric: str, scale: Scale) -> MetricComparison:
    first, second = (series_of(side.model, metric, scale, side.keys) for side in (base, other))
    compared = compare_series(second, first)
    complete = sorted(first.complete & second.complete)
    return MetricComparison(
        metric=metric,
        scale=scale,
        base=mean([first.values[key] for key in complete]),
        other=mean([second.values[key] for key in complete]),
        compared=compared,
        pair=judged(other.name, base.name, compared, [None] * len(compared.tests)),
    )


def _adjusted(metric: MetricComparison, adjusted: Sequence[float | None], family: int) -> MetricComparison:
    pair = metric.pair
    return replace(metric, pair=judged(pair.first, pair.second, metric.compared, adjusted, family))


def _notices(base: Side, other: Side) -> list[str]:
    before, after = base.report.provenance, other.report.provenance
    apart = unlike(base.report, other.report)
    notices = [f"The judges' scores are not compared: {apart}."] if apart else []
    blind = [judge for side in (base, other) if side.report.judging for judge in side.report.judging.blind]
    notices += [f"{judge.told}: disregard the judges' scores." for judge in dict.fromkeys(blind)]
    if before.seed != after.seed:
        seeds = f"{before.seed}, {after.seed}"
        notices.append(f"The runs have different seeds ({seeds}), so replies are not paired draw by draw.")
    notices += [
        f"{side.name} is not finished; its numbers will change."
        for side in (base, other)
        if side.report.provenance.partial
    ]
    notices += [
        f"{side.name}: the time limit cut off {cut} of {how_many(side.model.total.counts.turns, 'reply')}, so a "
        "difference may come from the speed of the machine."
        for side in (base, other)
        if (cut := side.model.total.counts.timeout)
    ]
    if base.model.input.name == other.model.input.name and base.model.input.digest != other.model.input.digest:
        notices.append("The model's file changed between the two runs.")
    notices += _answered_unlike(base, other)
    notices += _asked_unlike(base, other)
    layouts = [layouts_of(side.report.jobs, side.model.name) for side in (base, other)]
    if all(layouts) and layouts[0] != layouts[1]:
        words = " / ".join(" and ".join(sorted(each)) for each in layouts)
        notices.append(f"Their likelihoods were computed in different layouts, whose sums differ by rounding: {words}.")
    if unlike_probes(base.model, other.model):
        notices.append("Their speed probes were made in different ways and are not compared; `--probe` makes new ones.")
    notices += _loaded_unlike(base.model, other.model)
    notices += _held_unlike(base.report, other.report)
    differ = [
        name
        for name, uses in base.model.parameters.items()
        if _values(uses) != _values(other.model.parameters.get(name, ()))
    ]
    if differ:
        notices.append(f"They were sampled differently: {', '.join(differ)}.")
    return notices


def _answered_unlike(base: Side, other: Side) -> Iterator[str]:
    """Whether an endpoint names the model otherwise than before: what answers may be another one."""
    name = base.model.input.name
    before, after = (answered_as_words(side.report.answers, name) for side in (base, other))
    if other.model.input.name == name and before is not None and after is not None and before != after:
        yield (
            f"The endpoint of {name} names what answered otherwise: {before} in {base.report.provenance.name}, {after} "
            f"in {other.report.provenance.name}. It may be another model."
        )


def _asked_unlike(base: Side, other: Side) -> Iterator[str]:
    """What they were asked otherwise although they are called the same: sequences paired by id, a variant's texts."""
    before, after = ({sequence.id: sequence.digest for sequence in side.report.sequences} for side in (base, other))
    shared = before.keys() & after.keys()
    differ = sum(before[name] != after[name] for name in shared)
    if base.pair_by is PairBy.ID and differ:
        yield f"Sequences are paired by id; {differ} of {len(shared)} ask otherwise: other prompts or parameters."
    if base.model.name == other.model.name and base.model.input.variant != other.model.input.variant:
        yield "The variant's texts or parameters changed between the two runs."
    policies = [side.model.input.policy for side in (base, other)]
    if base.model.name == other.model.name and policies[0] != policies[1]:
        names = ["no policy" if policy is None else policy.id for policy in policies]
        yield f"{base.model.name} is not what it was: {names[0]} and {names[1]}, or other candidates of it."


def _loaded_unlike(base: ModelReport, other: ModelReport) -> Iterator[str]:
    """What changes a model's replies or where they end: context and cache, and what automatic settings gave up.

    Nothing is known of how an endpoint loads a model.
    """
    if any(model.input.facts is not None and model.input.facts.remote is not None for model in (base, other)):
        return
    before, after = ({_loaded(load) for load in model.input.loads} for model in (base, other))
    if before and after and before != after:
        yield f"They were loaded differently: {' and '.join(sorted(before))} / {' and '.join(sorted(after))}."
    held = any(use.value is not None for model in (base, other) for use in _uses_of_grammars(model))
    engines = [{load.grammar_engine for load in model.input.loads} for model in (base, other)]
    if held and all(engines) and engines[0] != engines[1]:
        yield f"Their replies were held to schemas or grammars by {_other_engines(*engines)}."


def _uses_of_grammars(model: ModelReport) -> Iterator[ParameterUse]:
    for name in ("grammar", "json_schema"):
        yield from model.parameters.get(name, ())


def _held_unlike(base: RunReport, other: RunReport) -> Iterator[str]:
    """The same of judges, whose verdicts are held to a schema always."""
    before, after = (report.judging.bench.grammar_engines if report.judging else {} for report in (base, other))
    for judge in sorted(before.keys() & after.keys()):
        if before[judge] != after[judge]:
            engines = _other_engines(before[judge], after[judge])
            yield f"The verdicts of judge {judge} were held to their schema by {engines}."


def _other_engines(before: Collection[str], after: Collection[str]) -> str:
    names = " / ".join(" and ".join(sorted(engines)) for engines in (before, after))
    return f"different engines ({names}), by which the same seed gives other texts"


def _loaded(load: LoadFacts) -> str:
    return f"context {load.context:,}, {load.cache_type_k}/{load.cache_type_v} cache"


def _values(uses: Sequence[object]) -> set[str]:
    return {repr(getattr(use, "value", None)) for use in uses}
