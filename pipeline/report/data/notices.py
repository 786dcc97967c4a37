"""What a reader must know before any number: unlike sampling, an unfinished run, failures, what is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from nightjar.config.counting import are
from nightjar.jobs.answer_names import AnswersNamed, name_notices
from nightjar.jobs.ending import GateOutcome, GateVerdict
from nightjar.jobs.machines.doing import BUSY_CORES
from nightjar.jobs.states import RunStatus
from nightjar.jobs.withheld import WHY_WITHHELD
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.likelihood_notices import likelihood_notices
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.run_report import Provenance, RunReport
from nightjar.pipeline.report.data.sampling import Difference
from nightjar.pipeline.report.data.series import MISSING_LIMIT, missing_turns
from nightjar.pipeline.transcripts import JobRow


def notices(
    provenance: Provenance,
    models: Sequence[ModelReport],
    jobs: Sequence[JobRow],
    differences: Sequence[Difference],
    *,
    withheld: bool = False,
) -> tuple[Notice, ...]:
    """The notices in order of importance; a difference in sampling always comes first."""
    lines = [_sampled(differences), _partial(provenance, jobs), _stopped(provenance)]
    lines += [line for model in models for line in (_failed(model), _missing(model), _cut(model), _unusable(model))]
    lines += [line for model in models for line in (_made_smaller(model), _busy(model), _shared(model))]
    lines += [_repeated(provenance, models), *likelihood_notices(jobs)]
    lines += [Notice(level="info", text=WHY_WITHHELD)] if withheld else []
    return tuple(dict.fromkeys(line for line in lines if line is not None))  # a model's variants say the same of it


def with_verdict(report: RunReport, verdict: GateVerdict | None) -> RunReport:
    """The report with notices on its gates: a warning for each that failed, one line for the rest."""
    if verdict is None:
        return report
    added = [Notice(level="warning", text=sentence) for sentence in verdict.reasons()]
    passed = [result for result in verdict.results if result.outcome is GateOutcome.PASSED]
    if passed:
        listed = "; ".join(f"{result.gate} for {result.about} ({result.reason})" for result in passed)
        added.append(Notice(level="info", text=f"Gates passed: {listed}."))
    return replace(report, verdict=verdict, notices=(*report.notices, *added))


def with_answers(report: RunReport, answers: Sequence[AnswersNamed]) -> RunReport:
    """The report with notices on models at endpoints whose answers changed their name, or have another than was asked
    for.
    """
    told = [Notice(level="warning" if each.changed else "info", text=each.text) for each in name_notices(answers)]
    return replace(report, answers=tuple(answers), notices=(*report.notices, *told))


def with_left_out(report: RunReport, left_out: Sequence[str]) -> RunReport:
    """The report with a notice on what its suite's import left out: a reply may pass since nobody asks."""
    if not left_out:
        return report
    text = f"The suite's import left out {fmt.count_of(len(left_out), 'part')} of its file: {' '.join(left_out)}"
    return replace(report, notices=(*report.notices, Notice(level="info", text=text)))


def _sampled(differences: Sequence[Difference]) -> Notice | None:
    if not differences:
        return None
    differing = "; ".join(
        f"{difference.parameter} "
        + " / ".join(f"{_short(value)} ({model})" for model, value in difference.values.items())
        for difference in differences
    )
    return _warn(f"The models were sampled differently, which may explain differences between them: {differing}.")


def _partial(provenance: Provenance, jobs: Sequence[JobRow]) -> Notice | None:
    if not provenance.partial:
        return None
    left = sum(not job.finished for job in jobs)
    return _warn(
        f"Partial report: the run is {provenance.status.value} and {left} of {fmt.count_of(len(jobs), 'job')} "
        f"{are(len(jobs))} not finished. The numbers will change."
    )


def _stopped(provenance: Provenance) -> Notice | None:
    if provenance.status not in (RunStatus.STOPPED, RunStatus.CANCELLED):
        return None
    return _warn(f"The run was {provenance.status.value.lower()}: {provenance.status_reason or 'no reason recorded'}.")


def _failed(model: ModelReport) -> Notice | None:
    failed = model.total.counts.failed
    if not failed:
        return None
    jobs = sum(model.total.counts.jobs.values())
    return _warn(
        f"{model.name}: {failed} of {fmt.count_of(jobs, 'job')} failed; Failures lists the reasons.", "failure"
    )


def _missing(model: ModelReport) -> Notice | None:
    share = missing_turns(model)
    if share <= MISSING_LIMIT:
        return None
    text = f"{model.name}: {share:.0%} of its turns are missing (over {MISSING_LIMIT:.0%}), so it is not ranked."
    return _warn(text, "failure")


def _cut(model: ModelReport) -> Notice | None:
    """On a slower or busier machine more replies would be cut off: their scores are not the model's alone."""
    counts = model.total.counts
    if not counts.timeout:
        return None
    were = "was" if counts.timeout == 1 else "were"
    return _warn(
        f"{model.name}: {counts.timeout} of {counts.turns} replies {were} cut off by the time limit (`time_limit_s`). "
        "They are scored as they are, so the scores depend on the speed of the machine."
    )


def _unusable(model: ModelReport) -> Notice | None:
    counts = model.total.counts
    if not counts.unusable:
        return None
    return Notice(
        level="info",
        topic="failure",
        text=f"{model.name}: {counts.unusable_words} of {fmt.count_of(counts.turns, 'reply')}; "
        "these get the worst score wherever a scale has one.",
    )


def _made_smaller(model: ModelReport) -> Notice | None:
    """What automatic load settings gave up for want of memory."""
    given_up = ", ".join(model.input.given_up)
    return _warn(f"{model.input.name} was loaded smaller, since memory was short: {given_up}.") if given_up else None


def _busy(model: ModelReport) -> Notice | None:
    others = model.resources.others_cores
    if others is None or others <= BUSY_CORES:
        return None
    return Notice(
        level="info",
        text=f"{model.input.name}: its machine was busy; other processes took {others:.1f} cores on average while it "
        "worked. Its speeds are lower than on a quiet one.",
    )


def _shared(model: ModelReport) -> Notice | None:
    counts = model.total.counts
    if not counts.shared:
        return None
    return Notice(
        level="info",
        text=f"{model.name}: beside {counts.shared} of {fmt.count_of(counts.turns, 'turn')} a live request used the "
        "device. Their times are left out of all speeds; their replies count as the others do.",
    )


def _repeated(provenance: Provenance, models: Sequence[ModelReport]) -> Notice | None:
    greedy = {model.name: _greedy_turns(model) for model in models}
    greedy_parts = [f"{turns} of {total} turns of {name}" for name, (turns, total) in greedy.items() if turns]
    if provenance.repeats < 2 or not greedy_parts:
        return None
    same = f"were generated at temperature 0, so their {provenance.repeats} repeats give the same reply."
    return Notice(level="info", text=f"{', '.join(greedy_parts)} {same}")


def _greedy_turns(model: ModelReport) -> tuple[int, int]:
    uses = model.parameters.get("temperature", ())
    return sum(use.turns for use in uses if use.value == 0), sum(use.turns for use in uses)


def _warn(text: str, topic: Literal["run", "failure"] = "run") -> Notice:
    return Notice(level="warning", text=text, topic=topic)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
