"""The report of a run as plain data. Pure: no I/O, no clock; every renderer starts from `RunReport`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from nightjar.jobs.answer_names import AnswersNamed
from nightjar.jobs.ending import GateVerdict
from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.sequences import averaged_metric
from nightjar.jobs.states import TERMINAL_RUNS, RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.report.data.changes import Changes
from nightjar.pipeline.report.data.costs import ModelCost
from nightjar.pipeline.report.data.fidelity import FidelityResult
from nightjar.pipeline.report.data.judges import JudgingReport
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.ranking import Ranking
from nightjar.pipeline.report.data.routes import CandidateShare
from nightjar.pipeline.report.data.sequence_costs import SequenceCost
from nightjar.pipeline.report.data.waves import WavesReport
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.transcripts import JobRow

SCHEMA_VERSION = "1.0"
"""Of the JSON report (docs/report.schema.json); the first number changes when a key is renamed or removed."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a run was: enough to say what its numbers describe."""

    id: str
    name: str
    status: RunStatus
    status_reason: str | None
    suite_name: str
    suite_version: int
    suite_digest: str
    suite_source: str | None
    suite_licence: str | None
    primary_metric: str | None
    repeats: int
    seed: int
    date: str
    set_parameters: Mapping[str, Any]
    set_model_parameters: Mapping[str, Mapping[str, Any]]
    judges: tuple[str, ...]
    content: str
    nightjar_version: str
    created_at: datetime
    finished_at: datetime | None
    rubric: Mapping[str, Any] | None = None
    """What the judges were asked, as the run stores it."""
    judging: int | None = None
    """The number of the judging whose verdicts these are."""
    side_judging: bool = False
    """It is another than the one that counts: its report is a file beside the run's own."""

    @property
    def rubric_digest(self) -> str | None:
        """Digest of the judges' rubric; None without judges."""
        return digest("rubric", dict(self.rubric)) if self.rubric is not None and self.judges else None

    @property
    def partial(self) -> bool:
        """The run may still change."""
        return self.status not in TERMINAL_RUNS


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run's report; jobs carry their transcripts and scores."""

    provenance: Provenance
    generated_at: datetime
    generated_by: str
    """The version of Nightjar that made the report."""
    notices: tuple[Notice, ...]
    models: tuple[ModelReport, ...]
    """Its contestants: the models, or each of them with every variant."""
    sequences: tuple[PromptSequence, ...]
    """In suite order."""
    jobs: tuple[JobRow, ...]
    """In the run's order."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    """The scale of every possible metric, in display order."""
    scorer_versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Metric -> the scorers in it, with their versions; empty in reports from before scorers had any."""
    ranking: Ranking | None = None
    """By the headline metric; None if it has no better end."""
    verdict: GateVerdict | None = None
    """The result of the run's gates at its end."""
    costs: tuple[ModelCost, ...] = ()
    """Of its models at endpoints; empty where it has none."""
    routes: tuple[CandidateShare, ...] = ()
    """Who answered for its policies; empty where it has none."""
    judging: JudgingReport | None = None
    """None if no judge was asked anything."""
    changes: Changes | None = None
    """Changes since the baseline; None without a baseline."""
    no_changes: str | None = None
    """Why there are no changes although a baseline is set; None where none is set."""
    waves: WavesReport | None = None
    """Of a run that stops when it is decided, whose verdicts on pairs are those of its looks; None for all others."""
    fidelity: FidelityResult | None = None
    """How far its models are from the one that `--fidelity-to` names; None where nothing was asked or measured."""
    reference: str | None = None
    """The model that the others are compared with by tag; None means the first."""
    sequence_costs: tuple[SequenceCost, ...] = ()
    """In suite order; empty where nothing was sent to an endpoint, and in reports from before they were kept."""
    answers: tuple[AnswersNamed, ...] = ()
    """Under which names its models and judges at endpoints answered; empty in reports from before they were kept."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags of the sequences, in order of first appearance."""
        return tuple(dict.fromkeys(tag for sequence in self.sequences for tag in sequence.tags))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants of the run, in its order; empty where it has none."""
        return tuple({v.name: v for model in self.models if (v := model.input.variant) is not None}.values())

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that occur, in display order."""
        return occurring(self.models, self.scales)

    @property
    def headline(self) -> str | None:
        """The metric the report leads with: the ranking's, else the suite's primary, else one with a better end."""
        if self.ranking is not None:
            return self.ranking.metric
        return headline(self.metrics, self.scales, self.provenance.primary_metric)

    @cached_property
    def averages(self) -> frozenset[str]:
        """Metrics that are averages over parts of the suite: replies and tags have none of them."""
        return frozenset(name for sequence in self.sequences for name in sequence.averages)

    @property
    def headline_of_parts(self) -> str | None:
        """The headline as replies, tags and repeats have it: of an average over parts, what it is the average of."""
        name = self.headline
        return averaged_metric(name) if name is not None and name in self.averages else name

    @cached_property
    def generates(self) -> bool:
        """Whether anything is written; not where given texts are scored in all sequences."""
        return not self.sequences or any(not sequence.scored for sequence in self.sequences)

    @property
    def headline_scale(self) -> Scale | None:
        """The scale of the metric the report leads with; None where it has no better end."""
        name = self.headline
        scale = None if name is None else self.scales[name]
        return scale if scale is not None and scale.has_better_end else None

    def quality_metrics(self) -> tuple[str, ...]:
        """Metrics with a better end; the others describe."""
        return tuple(name for name in self.metrics if self.scales[name].has_better_end)

    def leading_metrics(self, most: int) -> tuple[str, ...]:
        """The metrics for a short table: the headline, the judges' composite and the share of checks, then the others.

        If no metric has a better end, the measures.
        """
        quality = self.quality_metrics() or self.metrics
        first = [name for name in (self.headline, "judge", "checks") if name in quality]
        return tuple(name for name in dict.fromkeys([*first, *quality]) if name is not None)[:most]


def occurring(models: Sequence[ModelReport], scales: Mapping[str, Scale]) -> tuple[str, ...]:
    """The metrics that the models have, in the order of the scales."""
    seen = {name for model in models for name in model.total.metrics}
    return tuple(name for name in scales if name in seen)


def headline(metrics: Sequence[str], scales: Mapping[str, Scale], primary: str | None) -> str | None:
    """The suite's primary metric, else the first that has a better end."""
    if primary in metrics:
        return primary
    return next((name for name in metrics if scales[name].has_better_end), None)
