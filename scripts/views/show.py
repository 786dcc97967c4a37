"""What `nightjar show` prints: turn by turn the prompt once, then each model's reply to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many, plural
from nightjar.scripts.views.output import console, plain

if TYPE_CHECKING:
    from rich.console import Console

    from nightjar.jobs.documents import Run
    from nightjar.jobs.status.transcript import ShownScore, ShownTranscript, ShownTurn
    from nightjar.pipeline.report.data.sequence_costs import SequenceCost

INDENT = 2
_MARKED = {"best": "bold green", "worst": "bold red"}


@dataclass(frozen=True, kw_only=True)
class ReplyMark:
    """A contestant's first reply to a turn, where that is the best or the worst of all. `turn` counts from 1."""

    contestant: str
    turn: int
    mark: str
    """best or worst"""
    metric: str
    value: float
    shown: str
    """The value for people."""


def print_transcripts(
    run: Run,
    sequence: str,
    transcripts: Sequence[ShownTranscript],
    notes: Sequence[str],
    marks: Sequence[ReplyMark] = (),
    costs: Sequence[SequenceCost] = (),
) -> None:
    """One prompt sequence with the replies of the models, and what these cost at endpoints."""
    screen = console()
    number = run.asked.index(sequence) + 1
    _line(screen, f"{run.suite_name} / {sequence}, prompt {number} of {len(run.asked)} in run {run.name}", "bold")
    if transcripts and transcripts[0].system:
        _text(screen, f"System: {transcripts[0].system}", "dim")
    for turn in range(1, max((transcript.turns_total for transcript in transcripts), default=0) + 1):
        _turn(screen, turn, transcripts, {mark.contestant: mark for mark in marks if mark.turn == turn})
    if costs:
        _line(screen, "\nCost at endpoints", "bold")
    for cost in costs:
        _text(screen, f"{cost.model}: {cost.text} for {_jobs(cost)} ({how_many(cost.requests, 'request')})")
    for note in notes:
        _line(screen, f"Note: {note}", "yellow")
    if len(run.asked) > 1:
        _line(screen, f"\nAnother one: nightjar show {run.name} --prompt 1 (to {len(run.asked)}, or an id)", "dim")


def _jobs(cost: SequenceCost) -> str:
    """ "3 conversations", "4 verdicts"."""
    noun = {"replies": "conversation", "verdicts": "verdict", "embeddings": "comparison"}.get(cost.role, cost.role)
    return how_many(cost.jobs, noun)


def _turn(screen: Console, number: int, transcripts: Sequence[ShownTranscript], marks: Mapping[str, ReplyMark]) -> None:
    """A prompt is written again where a summary made it another one for the next model."""
    _line(screen, f"\nTurn {number}", "bold")
    before: str | None = None
    for transcript in transcripts:
        there = next((turn for turn in transcript.turns if turn.number == number), None)
        if there is not None and there.prompt != before:
            before = there.prompt
            _text(screen, before, "cyan")
        mark = marks.get(transcript.contestant) if transcript.repeat == 1 else None
        _reply(screen, transcript, there, mark, repeated=any(other.repeat > 1 for other in transcripts))


def _reply(
    screen: Console, transcript: ShownTranscript, turn: ShownTurn | None, mark: ReplyMark | None, *, repeated: bool
) -> None:
    name = transcript.contestant + (f", repeat {transcript.repeat}" if repeated else "")
    if turn is None:
        _line(screen, f"\n{name}: no reply; its job is {transcript.status}", "bold")
        if transcript.reason:
            _text(screen, transcript.reason, "red")
        return
    _head(screen, name, turn, mark)
    for line in _prompt_facts(transcript, turn):
        _text(screen, line, "dim")
    if turn.rendered is not None:
        _text(screen, f"The prompt as rendered:\n{turn.rendered}", "dim")
    if turn.reasoning:
        _text(screen, f"Reasoning:\n{turn.reasoning}", "dim")
    if turn.failure:
        _text(screen, turn.failure, "red")
    for given in turn.given_texts:
        _text(screen, given.words)
    if turn.reply.strip() and not turn.given_texts:
        _text(screen, turn.reply.strip())
    for line in _scores(turn):
        _text(screen, line, "magenta")


def _head(screen: Console, name: str, turn: ShownTurn, mark: ReplyMark | None) -> None:
    written = f"({how_many(turn.reply_tokens, 'token')}, ended by {turn.finish_reason})"
    _line(screen, f"\n{name}  {'(natural logarithms)' if turn.given_texts else written}", "bold")
    if mark is not None:
        _line(screen, f"{mark.mark.capitalize()} by {mark.metric}: {mark.shown}", _MARKED[mark.mark])


def _prompt_facts(transcript: ShownTranscript, turn: ShownTurn) -> Iterator[str]:
    if transcript.routed is not None:
        yield f"Answered by {transcript.routed.who(turn.number - 1)}: {transcript.routed.words}"
    if turn.left_out:
        yield f"Without {_turns(turn.left_out)}"
    if turn.recalled:
        yield f"Recalled from them: {_turns(turn.recalled)}"
    for facts, what in ((turn.given, "Given from"), (turn.kept, "Kept in")):
        if facts:
            yield "\n- ".join([f"{what} the memory {turn.memory}:", *facts])
    for summary in turn.summaries:
        what = f"the document {summary.document}" if summary.document else _turns(summary.turns)
        yield f"In place of {what} ({summary.tokens_before} tokens in {summary.tokens_after}):\n{summary.text}"


def _turns(numbers: Sequence[int]) -> str:
    return f"{plural(len(numbers), 'turn')} {', '.join(map(str, numbers))}"


def _scores(turn: ShownTurn) -> Iterator[str]:
    """How many checks are met, and which are not; the judges' points with their reasons."""
    checks = {name: turn.scores[name] for name in turn.checks}
    unmet = [name for name, score in checks.items() if score.value is None or score.value < 1]
    if checks:
        yield f"Checks met: {len(checks) - len(unmet)} of {len(checks)}"
        yield from (f"  not met: {name}{_why(checks[name])}" for name in unmet)
    for name, score in turn.scores.items():
        if name.startswith("judge"):
            yield f"{name}: {'no value' if score.value is None else f'{score.value:.3g}'}{_why(score)}"


def _why(score: ShownScore) -> str:
    return f" ({score.reason})" if score.reason else ""


def _line(screen: Console, text: str, style: str = "") -> None:
    screen.print(plain(text), style=style, soft_wrap=False)


def _text(screen: Console, text: str, style: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    screen.print(Padding(Text(plain(text), style=style), (0, 0, 0, INDENT), expand=False))
