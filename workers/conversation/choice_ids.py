"""The token ids of a turn's context and of its choices. Pure.

Plain text follows lm-evaluation-harness: context and continuation are tokenised together, and what comes after as many
tokens as the context has by itself is the continuation. After a chat template a reply begins with a token of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.config.errors import ContextError
from nightjar.jobs.sequences import Choices
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompt_ids import ids_with_bos
from nightjar.workers.conversation.prompts import Compression, Conversation, write_prompt
from nightjar.workers.engine.border import split_at_border


@dataclass(frozen=True, kw_only=True)
class ContextIds:
    """One context and the continuations that are scored after it."""

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    merged: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class ChoicePlan:
    """A turn to score: its prompt as people read it, and the contexts, one for all choices or one for each."""

    prompt: str
    contexts: tuple[ContextIds, ...]
    system_merged: bool = False


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
    shared = len(conversations) == 1
    written = [write_prompt(conversation, 0, [], Compression(), ()) for conversation in conversations]
    contexts = []
    for at, (conversation, prompt) in enumerate(zip(conversations, written, strict=True)):
        here = texts if shared else [texts[at]]
        if conversation.template is None:
            ids = _plain(conversation, prompt.rendering.text, here)
        else:
            tokenizer = conversation.tokenizer
            ids = ContextIds(
                context=tuple(ids_with_bos(conversation, prompt.rendering)),
                continuations=tuple(tuple(tokenizer.tokenize(text, parse_special=False)) for text in here),
                merged=(False,) * len(here),
            )
        _check_room(ids, conversation.context)
        contexts.append(ids)
    return ChoicePlan(prompt=written[0].prompt, contexts=tuple(contexts), system_merged=written[0].system_merged)


def _plain(conversation: Conversation, context: str, texts: Sequence[str]) -> ContextIds:
    tokenizer = conversation.tokenizer
    splits = [split_at_border(context, text, tokenizer) for text in texts]
    bos = tokenizer.bos
    before = splits[0].context
    if bos is not None and before[:1] != (bos,):
        before = (bos, *before)
    return ContextIds(
        context=before,
        continuations=tuple(split.continuation for split in splits),
        merged=tuple(split.merged for split in splits),
    )


def _check_room(ids: ContextIds, context: int) -> None:
    longest = len(ids.context) + max(map(len, ids.continuations))
    if longest > context:
        raise ContextError(
            f"The context and its longest choice have {longest:,} tokens, and the model was loaded with {context:,}. "
            "Load it with a larger `context`, or give fewer examples: nothing is left out of what is scored.",
            tokens=longest,
            context=context,
        )
