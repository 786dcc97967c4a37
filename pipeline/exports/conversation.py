"""A job's transcript as chat messages, as other tools write conversations. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.variants import varied
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import JobRow, TurnRow

ExportedMessage = dict[str, str]


def message(role: str, content: str) -> ExportedMessage:
    return {"role": role, "content": content}


def opening_of(sequence: PromptSequence) -> list[ExportedMessage]:
    """The messages before the first prompt: the system's, and those that are fixed."""
    system = [message("system", sequence.system)] if sequence.system is not None else []
    return [*system, *(message(str(fixed.role), fixed.text) for fixed in sequence.messages)]


def prompt_of(sequence: PromptSequence, turns: Sequence[TurnRow], index: int) -> list[ExportedMessage]:
    """The messages before the reply of `turns[index]`, without reasoning: system, fixed ones, exchanges, the prompt.

    Turns that a context policy dropped are included: this is the conversation, not what the model saw of it.
    """
    before = () if sequence.mode is Mode.INDEPENDENT else turns[:index]
    messages = opening_of(sequence)
    for turn in before:
        messages += [message("user", turn.prompt), message("assistant", turn.reply)]
    return [*messages, message("user", turns[index].prompt)]


class AskedSequences:
    """The sequences of a report as its contestants were asked them: with the system prompt and prompts of a variant."""

    def __init__(self, report: RunReport) -> None:
        self._variants = {model.name: model.input.variant for model in report.models}
        self._sequences = {sequence.id: sequence for sequence in report.sequences}
        self._made: dict[tuple[str, str], PromptSequence] = {}

    def of(self, contestant: str, sequence: str) -> PromptSequence:
        """A sequence as that contestant was asked it."""
        key = contestant, sequence
        if key not in self._made:
            self._made[key] = varied(self._sequences[sequence], self._variants[contestant])
        return self._made[key]


def jobs_by_sequence(report: RunReport, model: str) -> Mapping[str, Sequence[JobRow]]:
    """A contestant's jobs by sequence, in the run's order."""
    jobs: dict[str, list[JobRow]] = {}
    for job in report.jobs:
        if job.contestant == model:
            jobs.setdefault(job.sequence, []).append(job)
    return jobs


def complete(job: JobRow) -> bool:
    """Whether the job has all its turns."""
    return len(job.turns) == job.turns_total


def question_id(sequence: str) -> int | str:
    """A sequence's id for FastChat, whose ids are numbers; an id that is not a number stays a text."""
    return int(sequence) if sequence.isascii() and sequence.isdecimal() and len(sequence) < 16 else sequence
