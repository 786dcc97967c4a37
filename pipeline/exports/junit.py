"""JUnit XML, for showing a run in a continuous-integration server. Pure.

A suite per model, a case per reply and per check of it. A failed check is a failure; so is an empty, degenerate or
repeated reply, which the model answers for. A reply that is missing is an error where its job died and skipped where
the job has not ended or was cancelled; its checks are skipped. Judged scores are numbers, and become cases only under
`--at-least METRIC:X`. Each gate of the run is a case of the suite "gates". `--failing` chooses what counts as a
failure; the rest is skipped with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape, quoteattr

from nightjar.jobs.ending import GateOutcome, GateVerdict
from nightjar.jobs.sequences import TurnSpec
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.exports.file import ExportFile, ExportOptions
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import visible
from nightjar.pipeline.report.formats.provenance import flat
from nightjar.pipeline.scores import Direction, Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import JobRow, TurnRow

_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
MAX_TEXT = 4000
"""How many characters of a reply a failure shows."""


_Checks = Mapping[tuple[str, int], Sequence[str]]
"""Sequence and turn -> names of its checks."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A test case. `kind` is None if it passed, else failure, error or skipped."""

    name: str
    classname: str
    about: str
    """Of `file.FAILING`: what it is a case of."""
    seconds: float = 0.0
    kind: str | None = None
    type: str = ""
    message: str = ""
    detail: str = ""


def junit_file(report: RunReport, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.junit.xml`."""
    yield ExportFile(path=f"{stem}.junit.xml", pieces=_document(report, options))


def _document(report: RunReport, options: ExportOptions) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={_quoted(report.provenance.name)}>\n'
    checks = {
        (sequence.id, turn): _check_names(sequence.turns[turn])
        for sequence in report.sequences
        for turn in range(len(sequence.turns))
    }
    for model in report.models:
        jobs = [job for job in report.jobs if job.contestant == model.name]
        cases = [_counted(case, options) for job in jobs for case in _job(job, report, checks, options)]
        yield from _suite(report, model, cases)
    if report.verdict is not None and report.verdict.results:
        yield from _gate_suite(report, [_counted(case, options) for case in _gates(report.verdict)])
    yield "</testsuites>\n"


def _check_names(turn: TurnSpec) -> list[str]:
    """The names of a turn's checks: "includes", "includes#2"."""
    seen: Counter[str] = Counter()
    names = []
    for expectation in turn.expect:
        seen[expectation.check] += 1
        names.append(
            expectation.check if seen[expectation.check] == 1 else f"{expectation.check}#{seen[expectation.check]}"
        )
    return names


def _suite(report: RunReport, model: ModelReport, cases: list[Case]) -> Iterator[str]:
    kinds = Counter(case.kind for case in cases)
    seconds = sum(case.seconds for case in cases)
    yield (
        f'  <testsuite name={_quoted(model.name)} tests="{len(cases)}" failures="{kinds["failure"]}" '
        f'errors="{kinds["error"]}" skipped="{kinds["skipped"]}" time="{seconds:.3f}" '
        f"timestamp={_quoted(report.provenance.created_at.strftime('%Y-%m-%dT%H:%M:%S'))}>\n    <properties>\n"
    )
    for name, value in flat(report, model).items():
        yield f"      <property name={_quoted(name)} value={_quoted(value)}/>\n"
    yield "    </properties>\n"
    for case in cases:
        yield _case(case)
    yield "  </testsuite>\n"


def _gate_suite(report: RunReport, cases: list[Case]) -> Iterator[str]:
    """The gates of all models, as a suite of their own: the shortest answer to what a run came to."""
    kinds = Counter(case.kind for case in cases)
    yield (
        f'  <testsuite name="gates" tests="{len(cases)}" failures="{kinds["failure"]}" errors="0" '
        f'skipped="{kinds["skipped"]}" time="0.000" '
        f"timestamp={_quoted(report.provenance.created_at.strftime('%Y-%m-%dT%H:%M:%S'))}>\n"
    )
    for case in cases:
        yield _case(case)
    yield "  </testsuite>\n"


def _gates(verdict: GateVerdict) -> Iterator[Case]:
    """A case for each gate and model. One that is inconclusive is skipped, and fails where gates are strict."""
    for result in verdict.results:
        kind = {GateOutcome.PASSED: None, GateOutcome.TRIPPED: "failure"}.get(
            result.outcome, "failure" if verdict.strict else "skipped"
        )
        yield Case(
            name=str(result.gate),
            classname=f"gates.{result.about}",
            about="gates",
            kind=kind,
            type=result.outcome.value,
            message=result.reason if kind else "",
        )


def _counted(case: Case, options: ExportOptions) -> Case:
    """A failure that is not to count is a skipped case that says so."""
    if case.kind not in ("failure", "error") or case.about in options.failing:
        return case
    return replace(case, kind="skipped", message=f"not counted as a failure (--failing): {case.message}")


def _case(case: Case) -> str:
    head = f'    <testcase classname={_quoted(case.classname)} name={_quoted(case.name)} time="{case.seconds:.3f}"'
    if case.kind is None:
        return head + "/>\n"
    kind = "" if case.kind == "skipped" else f" type={_quoted(case.type)}"
    body = f"<{case.kind}{kind} message={_quoted(case.message)}>{_text(case.detail)}</{case.kind}>"
    return f"{head}>\n      {body}\n    </testcase>\n"


def _job(job: JobRow, report: RunReport, checks: _Checks, options: ExportOptions) -> Iterator[Case]:
    there = {turn.index: turn for turn in job.turns}
    for index in range(job.turns_total):
        name = f"{job.sequence} turn {index + 1} repeat {job.repeat + 1}"
        classname = f"{report.provenance.suite_name}.{job.sequence}"
        turn = there.get(index)
        if turn is None:
            yield from _missing(name, classname, job, checks[job.sequence, index])
        else:
            yield _reply(name, classname, turn)
            for line, score in turn.scores.items():
                if (held := _held(line, score, report, checks[job.sequence, index], options)) is not None:
                    yield _checked(f"{name}: {line}", classname, held, score, turn)


def _missing(name: str, classname: str, job: JobRow, checks: Sequence[str]) -> Iterator[Case]:
    kind = "error" if job.status is JobStatus.DEAD else "skipped"
    why = job.missing_reason
    yield Case(name=f"{name}: reply", classname=classname, about="missing", kind=kind, type="missing", message=why)
    for line in checks:
        message = "the reply is missing"
        yield Case(name=f"{name}: {line}", classname=classname, about="missing", kind="skipped", message=message)


def _reply(name: str, classname: str, turn: TurnRow) -> Case:
    failed = turn.failure is not None
    return Case(
        name=f"{name}: reply",
        classname=classname,
        about="replies",
        seconds=turn.total_s,
        kind="failure" if failed else None,
        type="model failure",
        message=turn.failure or "",
        detail=_shown(turn) if failed else "",
    )


def _held(
    line: str, score: Score, report: RunReport, checks: Sequence[str], options: ExportOptions
) -> tuple[bool, str] | None:
    """Whether a score is as required, and a sentence that says so; None if nothing is required of it."""
    metric = metric_of(line)
    scale = report.scales.get(metric)
    if metric in options.at_least:
        limit = options.at_least[metric]
    elif line in checks and scale is not None and scale.best is not None:
        limit = scale.best
    else:
        return None
    value = 0.0 if score.value is None else score.value
    lower = scale is not None and scale.direction is Direction.LOWER
    ends = f" (its scale: {scale.worst:g} worst, {scale.best:g} best)" if scale and scale.worst is not None else ""
    sentence = f"{line} is {value:g}; it must be {limit:g} or {'less' if lower else 'more'}{ends}"
    return (value <= limit if lower else value >= limit), f"{sentence}. {score.reason or ''}".strip()


def _checked(name: str, classname: str, held: tuple[bool, str], score: Score, turn: TurnRow) -> Case:
    met, sentence = held
    if score.value is None:
        raised = score.state is ScoreState.FAILED
        kind, sort = ("error", "scorer failed") if raised else ("skipped", "unscored")
        why = score.reason or sort
        return Case(name=name, classname=classname, about="checks", kind=kind, type=sort, message=why)
    if met:
        return Case(name=name, classname=classname, about="checks")
    detail = f"answer: {score.answer}\n\n{_shown(turn)}" if score.answer else _shown(turn)
    return Case(
        name=name, classname=classname, about="checks", kind="failure", type="check", message=sentence, detail=detail
    )


def _shown(turn: TurnRow) -> str:
    reply = turn.reply if len(turn.reply) <= MAX_TEXT else turn.reply[:MAX_TEXT] + " [cut]"
    return f"prompt: {turn.prompt[:MAX_TEXT]}\n\nreply: {reply}\n\nseed: {turn.seed}"


def _text(text: str) -> str:
    return escape(_clean(text))


def _quoted(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\t": "&#9;"})


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 forbids."""
    return _NOT_XML.sub("\ufffd", visible(text)).replace("\r", "")
