"""The judges' section of the page: its tables, and the verdicts as lists to open. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from nightjar.pipeline.judging.verdicts import metric_name
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.judges import JudgingReport, VerdictRow
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page import judge_tables
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of
from nightjar.pipeline.transcripts import JobRow

LINES = 1500
"""How many verdicts a page shows over all lists; the JSON has them all."""
FEWEST_LINES = 5


@dataclass(frozen=True, kw_only=True)
class VerdictLine:
    value: str
    where: str
    link: str | None
    """Link to the transcript, if the page has it."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class VerdictList:
    """The verdicts behind one number, lowest first. `hidden` counts those there is no room for."""

    id: str
    title: str
    lines: tuple[VerdictLine, ...]
    hidden: int


@dataclass(frozen=True, kw_only=True)
class JudgeSection:
    """Everything the page shows about the judges."""

    intro: str
    judges: Table
    checks: Table | None
    attempts: Table | None
    imitations: Table | None
    checked: str
    agreement: Table | None
    rates: Table | None
    strengths: Table | None
    numbers: Table | None
    """Criteria by model; each number links to its list of verdicts."""
    lists: tuple[VerdictList, ...]


def judge_section(report: RunReport, shown: Set[str]) -> JudgeSection | None:
    """The section, or None for a run without judges. `shown`: ids of the jobs whose transcripts the page has."""
    judging = report.judging
    if judging is None:
        return None
    lists = tuple(_lists(report, judging, shown))
    return JudgeSection(
        intro=judge_tables.intro(judging),
        judges=judge_tables.judges_table(judging),
        checks=judge_tables.checks_table(judging),
        attempts=judge_tables.attempts_table(judging),
        imitations=judge_tables.imitations_table(judging),
        checked=judge_tables.judges_checked(judging),
        agreement=judge_tables.agreement_table(judging),
        rates=judge_tables.rates_table(judging),
        strengths=judge_tables.strengths_table(judging),
        numbers=_numbers(report, judging, {listed.id for listed in lists}) if judging.rubric else None,
        lists=lists,
    )


def _lists(report: RunReport, judging: JudgingReport, shown: Set[str]) -> Iterator[VerdictList]:
    """The verdicts for every criterion and model, lowest first."""
    jobs = {job.id: job for job in report.jobs}
    groups: dict[tuple[str, str], list[tuple[float | None, VerdictRow, JobRow]]] = {}
    for row in judging.verdicts():
        for identity, won in ((row.job, row.value), (row.other, None if row.value is None else 1 - row.value)):
            job = jobs.get(identity or "")
            if job is not None:
                groups.setdefault((row.criterion, job.contestant), []).append((won, row, job))
    room = max(FEWEST_LINES, LINES // max(len(groups), 1))
    for (criterion, model), verdicts in groups.items():
        verdicts.sort(key=lambda verdict: (verdict[0] is None, verdict[0] or 0.0))
        lines = tuple(_line(value, row, job, jobs, shown) for value, row, job in verdicts[:room])
        title = f"{criterion}, {model}"
        identity = _list_id(report, judging, criterion, model)
        yield VerdictList(id=identity, title=title, lines=lines, hidden=max(len(verdicts) - room, 0))


def _line(value: float | None, row: VerdictRow, job: JobRow, jobs: dict[str, JobRow], shown: Set[str]) -> VerdictLine:
    where = f"{job.sequence}, repeat {job.repeat + 1}" + (f", turn {row.turn + 1}" if row.turn is not None else "")
    if row.other is not None:
        other = jobs.get(row.other if job.id == row.job else row.job)
        where += f", against {other.contestant if other else 'the other run'}"
    flipped = "changed with the order: " if row.flipped else ""
    return VerdictLine(
        value=fmt.ABSENT if value is None else f"{value:g}",
        where=f"{where}, {row.judge}",
        link=f"job-{job.id}" if job.id in shown else None,
        reason=flipped + row.reason,
    )


def _numbers(report: RunReport, judging: JudgingReport, lists: Set[str]) -> Table:
    assert judging.rubric is not None
    rows = []
    for criterion in judging.rubric.criteria:
        cells = [Cell(text=criterion.name, title=criterion.description)]
        for model in report.models:
            identity = _list_id(report, judging, criterion.name, model.name)
            metric = model.total.metrics.get(metric_name(criterion.name))
            text = fmt.metric(metric, report.scales[metric_name(criterion.name)]) if metric else fmt.ABSENT
            cells.append(Cell(text=text, link=identity if identity in lists else None))
        rows.append(tuple(cells))
    return Table(
        id="criteria-numbers",
        columns=columns_of(("criterion", *(f"{m.name}>" for m in report.models))),
        rows=tuple(rows),
    )


def _list_id(report: RunReport, judging: JudgingReport, criterion: str, model: str) -> str:
    criteria = [known.name for known in judging.rubric.criteria] if judging.rubric else []
    models = [known.name for known in report.models]
    return f"verdicts-{criteria.index(criterion)}-{models.index(model)}"
