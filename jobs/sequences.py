"""A prompt sequence as it is stored and generated: turns, system prompt, documents, expectations. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.identity import digest

Text = Annotated[str, Field(min_length=1)]
DOCUMENT_PLACEHOLDER = re.compile(r"\{\{\s*documents\.([A-Za-z0-9_-]+)\s*\}\}")


class Mode(StrEnum):
    """How the turns of a sequence see each other."""

    CHAT = "chat"
    INDEPENDENT = "independent"
    """Each turn starts a conversation of its own (chat template, system prompt, no history)."""
    COMPLETION = "completion"
    """No chat template: prompts and replies follow one another as plain text, for base models."""
    PERPLEXITY = "perplexity"
    """Nothing is generated: each prompt is a text, and the turn is how likely the model finds it."""


PLAIN = frozenset({Mode.COMPLETION, Mode.PERPLEXITY})
"""Modes without a chat template."""


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Value):
    """A text given to the model as input, kept apart so that a context policy may compress it."""

    name: Text
    text: Text


class Expectation(Value):
    """One thing a reply is checked for: `check` names a scorer, `value` is its argument."""

    check: Text
    value: Any


class MessageRole(StrEnum):
    """Whose a message is. The system's stands on its own: `Sequence.system`."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FixedMessage(Value):
    """A message that is given, not generated: an example, or what a conversation's caller says was said before."""

    role: MessageRole
    text: str = Field("", exclude_if=lambda text: not text)
    """Empty only where an assistant's message does nothing but call tools."""
    reasoning: str | None = Field(None, exclude_if=lambda value: value is None)
    name: str | None = Field(None, exclude_if=lambda value: value is None)
    tool_calls: tuple[dict[str, Any], ...] = Field((), exclude_if=lambda calls: not calls)
    """As the chat template is to have them."""
    tool_call_id: str | None = Field(None, exclude_if=lambda value: value is None)
    """Of a tool's message: the call that it answers."""

    def for_template(self) -> dict[str, Any]:
        """As chat templates read messages."""
        message: dict[str, Any] = {"role": str(self.role), "content": self.text}
        further = {
            "reasoning_content": self.reasoning,
            "name": self.name,
            "tool_calls": [dict(call) for call in self.tool_calls] or None,
            "tool_call_id": self.tool_call_id,
        }
        return message | {key: value for key, value in further.items() if value is not None}


class Choices(Value):
    """Given continuations of a prompt, of which some are right: the model says how likely each is, and writes none."""

    texts: tuple[Text, ...] = Field(min_length=1)
    """As they are counted and shown: without the delimiter."""
    right: tuple[int, ...] = Field(min_length=1)
    """Indices of the right ones."""
    delimiter: str = Field("", exclude_if=lambda delimiter: not delimiter)
    """Stands between the prompt and each text."""
    contexts: tuple[Text, ...] = Field((), exclude_if=lambda contexts: not contexts)
    """One for each text, in the place of the prompt, where it is the contexts that differ; the texts are then equal."""

    def shown(self, index: int) -> str:
        """What tells a choice from the others."""
        return self.contexts[index] if self.contexts else self.texts[index]


class TextRule(Value):
    """Which tokens of a text are scored, and after what. Tokens.

    Without `score_from`, every token is scored once: windows follow one another, and each begins with the last token of
    the one before; the last window reaches back as far as it can (lm-evaluation-harness' rolling rule). With it, the
    text is cut into windows of equal length, and of each the tokens from that position on are scored; a rest shorter
    than a window is left out (llama-perplexity's rule, with 512 and 256).
    """

    window: Annotated[int, Field(ge=2)] | None = Field(None, exclude_if=lambda value: value is None)
    """None: 2,048, or the model's context where that is less."""
    score_from: Annotated[int, Field(ge=1)] | None = Field(None, exclude_if=lambda value: value is None)
    bos: bool | None = Field(None, exclude_if=lambda value: value is None)
    """Whether a beginning-of-text token stands first; None: by the rule: in front of the first window, or in the place
    of each window's first token where the model's file asks for one."""
    words: int | None = Field(None, exclude_if=lambda value: value is None)
    """What the text counts as, where the prompt was made of another text; None: as it stands."""
    bytes: int | None = Field(None, exclude_if=lambda value: value is None)


class TurnSpec(Value):
    prompt: Text
    name: str | None = None
    expect: tuple[Expectation, ...] = ()
    reference: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    may_repeat: bool = Field(False, exclude_if=lambda may: not may)
    """The reply before it, given again, is an answer here and no failure. Left out of what is stored if not."""
    answers: FixedMessage | None = Field(None, exclude_if=lambda message: message is None)
    """The tool's message whose text `prompt` is, where what is replied to is a tool's result and not the user's."""
    choices: Choices | None = Field(None, exclude_if=lambda choices: choices is None)
    """What is scored in the place of a reply."""


class Sequence(Value):
    """Ordered turns that share one conversation. `id` is unique in its suite."""

    id: Text
    turns: tuple[TurnSpec, ...] = Field(min_length=1)
    mode: Mode = Mode.CHAT
    system: str | None = None
    tags: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    """The suite's parameters already merged with the sequence's own."""
    measures: tuple[Expectation, ...] = Field((), exclude_if=lambda measures: not measures)
    """Measured on every reply beside what is always measured; left out of the stored form where there are none."""
    values: dict[str, str] = Field(default_factory=dict, exclude_if=lambda values: not values)
    """Values of its row that the suite's variants name; left out of the stored form where there are none."""
    messages: tuple[FixedMessage, ...] = Field((), exclude_if=lambda messages: not messages)
    """Said before the first turn (in independent mode before each): examples, or the conversation so far. No context
    policy leaves them out. Left out of the stored form where there are none."""
    text_rule: TextRule | None = Field(None, exclude_if=lambda rule: rule is None)
    """In perplexity mode; None: the default rule."""
    averages: dict[str, str] = Field(default_factory=dict, exclude_if=lambda averages: not averages)
    """Averages that it is counted in, as METRIC.NAME -> its part of the average: parts count alike, whatever their
    sizes. Left out of the stored form where there are none."""
    tools: tuple[dict[str, Any], ...] = Field((), exclude_if=lambda tools: not tools)
    """Functions that the model may call, as OpenAI's protocol has them; a call stands in the reply as text. Only
    models at endpoints are given them. Left out of the stored form where there are none."""
    withheld: bool = Field(False, exclude_if=lambda withheld: not withheld)
    """Its texts are shown to nobody: see `jobs/withheld.py`."""
    withheld_digest: str | None = Field(None, exclude_if=lambda digest: digest is None)
    """Where the texts are not here: the digest of the sequence that has them."""

    @property
    def scored(self) -> bool:
        """Whether the model says how likely given texts are, and generates nothing. Its turns don't see each other."""
        return self.mode is Mode.PERPLEXITY or self.turns[0].choices is not None

    @property
    def digest(self) -> str:
        """Content digest of all that reaches the model; tags, names, expectations and measures do not change it."""
        if self.withheld_digest is not None:
            return self.withheld_digest
        return digest(
            self.mode,
            self.system,
            [(t.prompt, t.parameters) for t in self.turns],
            [(d.name, d.text) for d in self.documents],
            self.parameters,
            *([self.values] if self.values else []),
            *([["messages", self._given()]] if self._given() else []),
            *([["scored", self._weighed()]] if self.scored else []),
            *([["tools", list(self.tools)]] if self.tools else []),
        )

    def _weighed(self) -> list[Any]:
        """What is scored, in the form that the digest is made of; which choices are right reaches no model."""
        rule = self.text_rule.model_dump(mode="json", exclude={"words", "bytes"}) if self.text_rule else None
        choices = [turn.choices.model_dump(mode="json", exclude={"right"}) for turn in self.turns if turn.choices]
        return [rule, choices]

    def _given(self) -> list[Any]:
        """Every fixed message, in the form that the digest is made of."""
        answered = [turn.answers.model_dump(mode="json") for turn in self.turns if turn.answers is not None]
        return [*(message.model_dump(mode="json") for message in self.messages), *answered]

    @property
    def opening(self) -> str | None:
        """What the model is given before the first prompt, for people and judges: the system prompt, and the fixed
        messages with whose each is. None where there is neither."""
        said = [f"{message.role.capitalize()}: {message.text}" for message in self.messages]
        return "\n\n".join([*([self.system] if self.system else []), *said]) or None

    def prompt_text(self, turn: int, texts: dict[str, str] | None = None) -> str:
        """The user message of a turn, documents put in.

        `texts` replaces document texts by name (a summary, say). A document no turn names is put before turn 0.
        """
        given = {d.name: d.text for d in self.documents} | (texts or {})
        prompt = DOCUMENT_PLACEHOLDER.sub(lambda m: given[m.group(1)], self.turns[turn].prompt)
        if turn > 0:
            return prompt
        named = {m.group(1) for t in self.turns for m in DOCUMENT_PLACEHOLDER.finditer(t.prompt)}
        loose = [f"{d.name}:\n{given[d.name]}\n\n" for d in self.documents if d.name not in named]
        return "".join(loose) + prompt


def averaged_metric(average: str) -> str:
    """The metric that an average of `Sequence.averages` is taken of."""
    return average.rpartition(".")[0]


def sequence_key(sequence: Sequence) -> str:
    """Digest of all of a sequence: the `_id` of its SequenceDocument."""
    return digest("sequence", sequence.model_dump(mode="json"))
