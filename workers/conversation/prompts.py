"""The text of a prompt: which messages a turn sees, and how they are written out. Pure.

A chat uses the model's template. In a completion the system text, prompts and raw replies follow one another, with a
blank line before each prompt unless the text already ends with a line break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.jobs.records import Summary, TurnRecord
from nightjar.jobs.sequences import PLAIN
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.recall import recalled_text
from nightjar.workers.conversation.special_tokens import Guard, Rendering, guard_messages, texts_in
from nightjar.workers.conversation.templates import ChatTemplate, Message, merge_system
from nightjar.workers.engine.markers import Markers
from nightjar.workers.engine.request import Tokenizer

SEPARATOR = "\n\n"


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What all turns of one job share. `template` is None in completion mode; `context` is in tokens."""

    sequence: PromptSequence
    tokenizer: Tokenizer
    context: int
    template: ChatTemplate | None
    bos_text: str = ""

    @property
    def markers(self) -> Markers | None:
        """How the model writes reasoning; None if it writes none."""
        return self.template.markers if self.template else None


@dataclass(frozen=True, kw_only=True)
class Compression:
    """Summaries that stand for what did not fit: one text for the turns, and one for each document by name."""

    turns: tuple[int, ...] = ()
    summary: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)

    def and_summary(self, summary: Summary) -> Compression:
        """With one more summary. A first part replaces the earlier summary of the same thing, later parts are added."""
        if summary.document is not None:
            before = self.documents.get(summary.document, "") if summary.part else ""
            return replace(self, documents={**self.documents, summary.document: _joined(before, summary.text)})
        before = self.summary if summary.part else ""
        return replace(self, turns=summary.turns, summary=_joined(before, summary.text))


@dataclass(frozen=True, kw_only=True)
class Written:
    """A rendered prompt. `system_merged`: the template refuses system messages, so it went into the first user turn."""

    rendering: Rendering
    prompt: str
    """The user's message in this turn, without what is recalled for it."""
    dropped_turns: tuple[int, ...]
    bare_replies: tuple[int, ...]
    """Turns whose replies were given without their leading white space, since the template writes its own."""
    system_merged: bool = False


def open_conversation(
    sequence: PromptSequence, *, template: ChatTemplate | None, tokenizer: Tokenizer, context: int, bos_text: str = ""
) -> Conversation:
    """Raises TemplateError if the sequence is a chat and the model has no chat template."""
    if sequence.mode in PLAIN:
        template = None
    elif template is None:
        raise TemplateError(
            f"Sequence {sequence.id!r} is a {sequence.mode} sequence, but the model has no chat template. For a base "
            "model set `mode: completion` in the suite; for a chat model whose file lost its template, name one in "
            "models.toml (template = FILE)."
        )
    return Conversation(sequence=sequence, template=template, tokenizer=tokenizer, context=context, bos_text=bos_text)


def write_prompt(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    compression: Compression,
    dropped: tuple[int, ...],
    bare: tuple[int, ...] = (),
    variables: Mapping[str, Any] | None = None,
    recalled: Sequence[int] = (),
) -> Written:
    """The prompt of `turn`, after the turns in `history` that are not dropped; `bare` becomes `bare_replies`.

    `variables` are the template's. `recalled`: turns among the dropped ones that are quoted in front of the message.
    """
    quoted = [exchange_of(conversation, record, compression) for record in history if record.index in recalled]
    history = [record for record in history if record.index not in dropped]
    turns = [*(record.index for record in history), turn]
    said = [said_in_turn(conversation.sequence, number, compression, dropped) for number in turns]
    prompt = said[-1]
    if quoted:
        said[-1] = recalled_text(quoted) + SEPARATOR + prompt
    if conversation.template is None:
        text = _continued(conversation, said, history)
        rendering = Rendering(text=text, plain=True)
        return Written(rendering=rendering, prompt=prompt, dropped_turns=dropped, bare_replies=())
    messages = _messages(conversation, turn, said, history, bare)
    rendering, merged = render_messages(conversation.template, conversation.tokenizer, messages, variables)
    return Written(rendering=rendering, prompt=prompt, dropped_turns=dropped, bare_replies=bare, system_merged=merged)


def exchange_of(conversation: Conversation, record: TurnRecord, compression: Compression) -> tuple[str, str]:
    """What was asked in a committed turn, documents put in, and what was replied."""
    return conversation.sequence.prompt_text(record.index, dict(compression.documents)), record.draw.reply


def render_messages(
    template: ChatTemplate, tokenizer: Tokenizer, messages: list[Message], variables: Mapping[str, Any] | None = None
) -> tuple[Rendering, bool]:
    """The messages as the template writes them, and whether it refuses system messages and this one was merged."""
    merged = messages[0]["role"] == "system" and not template.takes_system
    if merged:
        messages = merge_system(messages)
    guard = Guard.choose(tokenizer.special_texts, [template.source, *texts_in(messages)])
    markers = template.markers
    allowed = markers.open + markers.close + markers.lead if markers else ""
    rendered = template.render(guard_messages(guard, messages, allowed), variables=variables)
    return guard.unwrap(rendered), merged


def said_in_turn(sequence: PromptSequence, turn: int, compression: Compression, dropped: Sequence[int]) -> str:
    """The user's message in `turn`, with documents filled in; in the first turn after a summary, preceded by it."""
    text = sequence.prompt_text(turn, dict(compression.documents))
    if not compression.summary or turn <= max(compression.turns):
        return text
    if any(n not in dropped for n in range(max(compression.turns) + 1, turn)):
        return text
    return f"Summary of our conversation so far: {compression.summary}{SEPARATOR}{text}"


def _messages(
    conversation: Conversation, turn: int, said: Sequence[str], history: Sequence[TurnRecord], bare: Sequence[int]
) -> list[Message]:
    system = conversation.sequence.system or (conversation.template.system if conversation.template else None)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    messages += [message.for_template() for message in conversation.sequence.messages]
    for text, record in zip(said, history, strict=False):
        messages += [_asked(conversation, record.index, text), _reply(conversation, record, record.index in bare)]
    return [*messages, _asked(conversation, turn, said[-1])]


def _asked(conversation: Conversation, turn: int, text: str) -> Message:
    """What a turn's reply is to: the user's message, or a tool's result."""
    answers = conversation.sequence.turns[turn].answers
    return {"role": "user", "content": text} if answers is None else answers.for_template() | {"content": text}


def _reply(conversation: Conversation, record: TurnRecord, bare: bool) -> Message:
    """A past reply as the template wants it: with reasoning in the content, or in a field of its own."""
    template, draw = conversation.template, record.draw
    assert template is not None
    if not template.reasoning_in_fields:
        return {"role": "assistant", "content": draw.raw_text.lstrip() if bare else draw.raw_text}
    if not draw.reasoning:
        return {"role": "assistant", "content": draw.reply.lstrip() if bare else draw.reply}
    return {"role": "assistant", "content": draw.reply, "reasoning_content": draw.reasoning}


def _continued(conversation: Conversation, said: Sequence[str], history: Sequence[TurnRecord]) -> str:
    text = conversation.sequence.system or ""
    for number, prompt in enumerate(said):
        text += (SEPARATOR if text and not text.endswith("\n") else "") + prompt
        if number < len(history):
            text += history[number].draw.raw_text
    return text


def _joined(before: str, text: str) -> str:
    return f"{before}\n{text}" if before else text
