"""The token ids of a turn's context and of its choices. Pure.

Plain text follows lm-evaluation-harness: context and continuation are tokenised together, and what comes after as many
tokens as the context has by itself is the continuation. After a chat template a reply begins with a token of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nightjar.config.errors import ContextError
from nightjar.jobs.sequences import Choices
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompt_ids import ids_with_bos
from nightjar.workers.conversation.prompts import Compression, Conversation, Written, write_prompt
from nightjar.workers.engine.border import split_at_border


@dataclass(frozen=True, kw_only=True)
class ChoiceIds:
    """One choice as token ids."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    merged: bool = False
    """A token reaches over the border, so that the context is not what it is by itself."""


@dataclass(frozen=True, kw_only=True)
class ChoicePlan:
    """A turn to score: its prompt as people read it, and its choices."""

    prompt: str
    choices: tuple[ChoiceIds, ...]
    system_merged: bool = False

    @property
    def by_context(self) -> dict[tuple[int, ...], list[int]]:
        """Context -> the places of the choices that are scored after it, in their order."""
        places: dict[tuple[int, ...], list[int]] = {}
        for place, choice in enumerate(self.choices):
            places.setdefault(choice.context, []).append(place)
        return places


def turn_alone(sequence: PromptSequence, turn: int, context: str | None = None) -> PromptSequence:
    """The sequence with nothing but that turn, since scored turns don't see each other; `context`: its prompt."""
    spec = sequence.turns[turn]
    changes = {} if context is None else {"prompt": context}
    return sequence.model_copy(update={"turns": (spec.model_copy(update=changes),)})


def plan_choices(conversations: Sequence[Conversation], choices: Choices) -> ChoicePlan:
    """`conversations`: of the turn alone, one, or one for each of its `contexts`.

    Raises ContextError, TemplateError.
    """
    texts = [choices.delimiter + text for text in choices.texts]
    each = list(conversations) * len(texts) if len(conversations) == 1 else list(conversations)
    written = [write_prompt(conversation, 0, [], Compression(), ()) for conversation in conversations]
    prompts = written * len(texts) if len(written) == 1 else written
    ids = tuple(_ids(*one) for one in zip(each, prompts, texts, strict=True))
    _check_room(ids, conversations[0].context)
    return ChoicePlan(prompt=written[0].prompt, choices=ids, system_merged=written[0].system_merged)


def _ids(conversation: Conversation, written: Written, text: str) -> ChoiceIds:
    tokenizer = conversation.tokenizer
    if conversation.template is not None:
        return ChoiceIds(
            context=tuple(ids_with_bos(conversation, written.rendering)),
            continuation=tuple(tokenizer.tokenize(text, parse_special=False)),
        )
    border = split_at_border(
        partial(tokenizer.tokenize, parse_special=False), written.rendering.text, text, bos=tokenizer.bos
    )
    return ChoiceIds(context=border.context_ids, continuation=border.continuation_ids, merged=border.merged)


def _check_room(choices: Sequence[ChoiceIds], context: int) -> None:
    longest = max(len(choice.context) + len(choice.continuation) for choice in choices)
    if longest > context:
        raise ContextError(
            f"The context and its longest choice have {longest:,} tokens, and the model was loaded with {context:,}. "
            "Load it with a larger `context`, or give fewer examples: nothing is left out of what is scored.",
            tokens=longest,
            context=context,
        )
