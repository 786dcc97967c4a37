"""The content of each page: a template gets one of these as `page`, reads its fields and calls nothing."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from nightjar.pipeline.report.data.findings import Finding
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.page.chart import Chart
from nightjar.pipeline.report.page.judge_section import JudgeSection
from nightjar.pipeline.report.page.tables import Table
from nightjar.pipeline.report.page.transcript_views import JobView


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn chart; `svg` is None if it could not be drawn, and the table says the same."""

    chart: Chart
    svg: Markup | None
    table: Table


@dataclass(frozen=True, kw_only=True)
class ModelLabel:
    """A model's name with the number of its colour."""

    name: str
    series: int


@dataclass(frozen=True, kw_only=True)
class PlaceView:
    """A model's place in the ranking: `rank` is its letters. `next`: its rank differs from that of the place before."""

    rank: str
    model: ModelLabel
    link: str | None
    value: str
    note: str
    reason: str | None
    bar: Markup | None
    next: bool


@dataclass(frozen=True, kw_only=True)
class RankingView:
    metric: str
    sequences: int
    """Complete for every ranked model."""
    places: tuple[PlaceView, ...]
    pairs: Table | None
    strengths: Table | None
    looks: Table | None = None
    """Of a run that stops when it is decided."""


@dataclass(frozen=True, kw_only=True)
class ChangedMetric:
    metric: str
    verdict: str
    link: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class ChangedModel:
    """A model's changes. `metrics` changed significantly; `marks` are changes in what they depend on."""

    name: str
    shared: int
    incomplete: str
    """How many of the shared sequences are incomplete, in words; "" if none is."""
    metrics: tuple[ChangedMetric, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ChangesView:
    """The run compared with its baseline."""

    baseline: str
    models: tuple[ChangedModel, ...]
    reason: str | None
    marks: tuple[str, ...]
    new_models: tuple[str, ...]
    gone_models: tuple[str, ...]
    table: Table | None


@dataclass(frozen=True, kw_only=True)
class PageSubject:
    """A model or a pair, with the findings about it."""

    about: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class ExtremeView:
    """A reply worth reading first. `link` leads to its transcript, if the page has it."""

    link: str | None
    model: str
    where: str
    value: str
    start: str


@dataclass(frozen=True, kw_only=True)
class ReplyView:
    """A model's reply beside those of others. `link` leads to its transcript, if the page has it."""

    model: ModelLabel
    link: str | None
    value: str
    mark: str
    """Whether it is the best or the worst; "" for those between, and where nothing says which is better."""
    text: str


@dataclass(frozen=True, kw_only=True)
class SideBySideView:
    """The replies of all models to one prompt, best first. `turn` counts from 1."""

    sequence: str
    turn: int
    prompt: str
    replies: tuple[ReplyView, ...]


@dataclass(frozen=True, kw_only=True)
class ResultTables:
    """The tables of results; None for those that would be empty."""

    models: Table
    variants: Table | None
    routes: Table | None
    """Who answered for its policies."""
    criteria: Table | None
    tags: Table | None
    depths: Table | None
    """Of a suite that asks the same at growing lengths."""
    reference: str | None
    """The model that the results by tag are compared with."""
    sequences: Table
    sequences_left_out: str | None
    """What the table by sequence leaves out, in words; None if nothing."""
    turns: Table
    metrics: Table
    spread: Table | None
    repeated: Table | None
    repeats: Table | None


@dataclass(frozen=True, kw_only=True)
class MachineTables:
    speed: Table
    machine: Table
    costs: Table | None
    """None where no model answers at an endpoint."""
    run: Table
    facts: Table
    parameters: Table
    sequence_costs: Table | None
    costs_left_out: str | None
    """What that table leaves out, in words; None if nothing."""


@dataclass(frozen=True, kw_only=True)
class FidelitySection:
    """How far a run's models are from the one they are held against."""

    reference: str
    answer: str
    about: str
    """What was read."""
    notices: tuple[Notice, ...]
    numbers: Table
    costs: Table
    front: str
    """What the front is over."""
    charts: tuple[Drawing, ...]
    by_position: Table
    by_depth: Table
    facts: Table


@dataclass(frozen=True, kw_only=True)
class Page:
    """The report of a run."""

    generated_by: str
    style: Markup
    script: Markup
    style_hash: str
    script_hash: str
    name: str
    partial: bool
    notices: tuple[Notice, ...]
    answer: str
    advice: tuple[Markup, ...]
    """What to do where the answer is that one can't tell."""
    about: str
    """Suite, sizes, seed and dates in words."""
    several: bool
    """More than one model."""
    models: tuple[ModelLabel, ...]
    headline: str | None
    ranking: RankingView | None
    changes: ChangesView | None
    no_changes: str | None
    """Why there are none although a baseline is set."""
    failures: tuple[PageSubject, ...]
    doubts: tuple[PageSubject, ...]
    results: ResultTables
    charts: tuple[Drawing, ...]
    judging: JudgeSection | None
    fidelity: FidelitySection | None
    side_by_side: SideBySideView | None
    best: tuple[ExtremeView, ...]
    worst: tuple[ExtremeView, ...]
    longest: tuple[ExtremeView, ...]
    machine: MachineTables
    reasons: Table | None
    """Reasons of failed jobs and of unusable replies."""
    transcripts: Markup
    made: str
    """The version that made the page, and when."""


@dataclass(frozen=True, kw_only=True)
class SequenceView:
    """A sequence with those of its transcripts that are shown."""

    id: str
    name: str
    tags: tuple[str, ...]
    system: str | None
    jobs: tuple[JobView, ...]


@dataclass(frozen=True, kw_only=True)
class FlagOption:
    """A flag that transcripts can be filtered by."""

    flag: str
    label: str


@dataclass(frozen=True, kw_only=True)
class SortOption:
    """What transcripts can be sorted by; `low` is 1 where small values come first, else 0."""

    key: str
    low: int


@dataclass(frozen=True, kw_only=True)
class TranscriptsPage:
    """The transcripts within the report's page."""

    left_out: str | None
    """How many of the transcripts are shown, in words; None if all are."""
    cut: bool
    json_name: str
    models: tuple[str, ...]
    tags: tuple[str, ...]
    flags: tuple[FlagOption, ...]
    sort_options: tuple[SortOption, ...]
    repeated: bool
    """More than one repeat."""
    sequences: tuple[SequenceView, ...]


@dataclass(frozen=True, kw_only=True)
class NightMarks:
    """What changed on a night, numbered as in the charts."""

    number: int
    night: str
    marks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TrendPage:
    """The nights of a suite."""

    generated_by: str
    style: Markup
    style_hash: str
    suite: str
    about: str
    """How many nights there are, and the first and last."""
    models: tuple[ModelLabel, ...]
    now: Table
    charts: tuple[Drawing, ...]
    marks: tuple[NightMarks, ...]
    nights: Table
    made: str


@dataclass(frozen=True, kw_only=True)
class FidelityPage:
    """Loads compared with a reference, token by token."""

    generated_by: str
    style: Markup
    style_hash: str
    reference: str
    answer: str
    about: str
    """What was read."""
    notices: tuple[Notice, ...]
    loads: tuple[ModelLabel, ...]
    gates: tuple[str, ...]
    numbers: Table
    costs: Table
    front: str
    """What the front is over."""
    charts: tuple[Drawing, ...]
    by_position: Table
    by_depth: Table | None
    """None for a text, whose windows begin with an empty context: it would say the same."""
    facts: Table
    made: str
