"""`nightjar.load`: a model in this process, for a program. See docs/python.md."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from nightjar.background import Closing, aiterate_work, await_work, iterate_work, wait_for_work
from nightjar.config.errors import UsageError
from nightjar.config.surrogates import has_surrogate

if TYPE_CHECKING:
    from nightjar.jobs.models import LoadFacts, ModelFacts
    from nightjar.scripts.chat_model import ChatModel, PromptOrMessages
    from nightjar.workers.engine.request import EngineStats

Messages = str | Sequence[Mapping[str, Any]]
"""Messages of {"role": "system" | "user" | "assistant", "content": "..."}; a text is one message of the user's."""
SEED = 1
"""Of every reply, unless another is given: the same call gives the same text where nothing else differs."""


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """A reply. `str(reply)` is its text."""

    text: str
    """What a reader sees, without reasoning."""
    reasoning: str
    finish_reason: str
    """stop, length (max_tokens), context, timeout or cancelled."""
    prompt_tokens: int
    reused_tokens: int
    """Of the prompt's, those that were in the cache."""
    reply_tokens: int
    """Reasoning included."""
    empty: str | None
    """Why there is no visible text; None where there is."""
    degenerate: str | None
    """Why the reply is degenerate (it loops, or is shorter than `min_tokens`); None where it is not."""
    mean_logprob: float | None
    """Where `top_logprobs` was set."""
    first_token_s: float | None
    total_s: float
    seed: int

    def __str__(self) -> str:
        return self.text


class Model(Closing):
    """A loaded model. Each method has an async form, whose name begins with `a`; any number of threads and tasks may
    call at once, and share the model's slots. Close it, or use it in a `with` or `async with` block."""

    def __init__(self, loaded: ChatModel) -> None:
        self._loaded = loaded
        # Also at the end of the process: native threads must not compute while the interpreter is taken down.
        weakref.finalize(self, loaded.engine.close_now)

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def facts(self) -> ModelFacts:
        """What the file says: digest, kind, quantisation, parameters, trained context."""
        return self._loaded.engine.facts

    @property
    def load_facts(self) -> LoadFacts:
        """How it was loaded: device, context, slots, threads."""
        return self._loaded.engine.load

    @property
    def context(self) -> int:
        """Tokens of one conversation, its replies included."""
        return self.load_facts.context

    def stats(self) -> EngineStats:
        """Counters since the load, and what runs now."""
        return self._loaded.engine.stats()

    def chat(self, messages: Messages, *, seed: int = SEED, **parameters: Any) -> ModelReply:
        """The reply to the last message, by the model's own chat template.

        `parameters`: temperature, max_tokens, stop, json_schema, ... Raises UsageError for messages that are none,
        ParameterError, ContextError, ModelError.
        """
        return wait_for_work(self._chat(messages, seed, parameters))

    async def achat(self, messages: Messages, *, seed: int = SEED, **parameters: Any) -> ModelReply:
        """See `chat`."""
        return await await_work(self._chat(messages, seed, parameters))

    def chat_batch(self, conversations: Iterable[Messages], *, seed: int = SEED, **parameters: Any) -> list[ModelReply]:
        """A reply to each, as many at once as the model has slots. The first error ends all."""
        return wait_for_work(_all([self._chat(messages, seed, parameters) for messages in conversations]))

    async def achat_batch(
        self, conversations: Iterable[Messages], *, seed: int = SEED, **parameters: Any
    ) -> list[ModelReply]:
        """See `chat_batch`."""
        return await await_work(_all([self._chat(messages, seed, parameters) for messages in conversations]))

    def generate(self, text: str, *, seed: int = SEED, **parameters: Any) -> ModelReply:
        """What follows the text, without a chat template. Otherwise as `chat`."""
        return wait_for_work(self._generate(text, seed, parameters))

    async def agenerate(self, text: str, *, seed: int = SEED, **parameters: Any) -> ModelReply:
        """See `generate`."""
        return await await_work(self._generate(text, seed, parameters))

    def generate_batch(self, texts: Iterable[str], *, seed: int = SEED, **parameters: Any) -> list[ModelReply]:
        """What follows each text. See `chat_batch`."""
        return wait_for_work(_all([self._generate(text, seed, parameters) for text in texts]))

    async def agenerate_batch(self, texts: Iterable[str], *, seed: int = SEED, **parameters: Any) -> list[ModelReply]:
        """See `generate_batch`."""
        return await await_work(_all([self._generate(text, seed, parameters) for text in texts]))

    def stream(self, messages: Messages, *, chat: bool = True, seed: int = SEED, **parameters: Any) -> Iterator[str]:
        """The reply's text as it comes, reasoning included; leaving the loop early ends it. See `chat`.

        `chat=False` takes a text and streams what follows it.
        """
        return iterate_work(self._stream(messages, chat, seed, parameters))

    def astream(
        self, messages: Messages, *, chat: bool = True, seed: int = SEED, **parameters: Any
    ) -> AsyncGenerator[str, None]:
        """See `stream`: `async for text in model.astream(...)`."""
        return aiterate_work(self._stream(messages, chat, seed, parameters))

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text, with the control tokens that the model wants around one; such tokens inside stay text."""
        return self._loaded.engine.tokenize(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of ids; control tokens are nothing."""
        return self._loaded.engine.tokenizer.detokenize(list(ids))

    def count(self, prompt: Messages) -> int:
        """How many tokens a text has; or the prompt of messages, by the chat template."""
        return wait_for_work(self._count(prompt))

    async def acount(self, prompt: Messages) -> int:
        """See `count`."""
        return await await_work(self._count(prompt))

    def embed(self, text: str) -> list[float]:
        """A text's unit vector. Raises ModelError for a model that generates text."""
        return wait_for_work(self._loaded.embed([_text(text)]))[0]

    async def aembed(self, text: str) -> list[float]:
        """See `embed`."""
        return (await await_work(self._loaded.embed([_text(text)])))[0]

    def embed_batch(self, texts: Iterable[str]) -> list[list[float]]:
        """A unit vector for each text, computed together."""
        return wait_for_work(self._loaded.embed([_text(text) for text in texts]))

    async def aembed_batch(self, texts: Iterable[str]) -> list[list[float]]:
        """See `embed_batch`."""
        return await await_work(self._loaded.embed([_text(text) for text in texts]))

    def close(self) -> None:
        """Ends what runs and frees the memory. Idempotent."""
        wait_for_work(self._loaded.close())

    async def aclose(self) -> None:
        """See `close`."""
        await await_work(self._loaded.close())

    def __repr__(self) -> str:
        load = self.load_facts
        return f"<nightjar.Model {self.name}: {load.slots} slots of {load.context} tokens on {load.device}>"

    async def _chat(self, messages: Messages, seed: int, parameters: Mapping[str, Any]) -> ModelReply:
        from nightjar.workers.conversation.messages import read_messages

        return await self._reply(read_messages(messages), seed, parameters)

    async def _generate(self, text: str, seed: int, parameters: Mapping[str, Any]) -> ModelReply:
        return await self._reply(_text(text), seed, parameters)

    async def _reply(self, prompt: PromptOrMessages, seed: int, parameters: Mapping[str, Any]) -> ModelReply:
        draw, generation = await self._loaded.reply(await self._loaded.plan(prompt, seed=seed, parameters=parameters))
        return ModelReply(
            text=draw.reply,
            reasoning=draw.reasoning,
            finish_reason=draw.finish_reason,
            prompt_tokens=generation.prompt_tokens,
            reused_tokens=generation.reused_tokens,
            reply_tokens=draw.reply_tokens,
            empty=draw.empty,
            degenerate=draw.degenerate,
            mean_logprob=draw.mean_logprob,
            first_token_s=draw.timings.first_token_s,
            total_s=draw.timings.total_s,
            seed=seed,
        )

    async def _stream(
        self, prompt: Messages, chat: bool, seed: int, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[str, None]:
        from nightjar.workers.conversation.messages import read_messages

        given = read_messages(prompt) if chat else _text(prompt)
        texts = self._loaded.stream(await self._loaded.plan(given, seed=seed, parameters=parameters))
        try:
            async for text in texts:
                yield text
        finally:
            await texts.aclose()

    async def _count(self, prompt: Messages) -> int:
        from nightjar.workers.conversation.messages import read_messages

        return await self._loaded.count(prompt if isinstance(prompt, str) else read_messages(prompt))


def load(
    model: str | PathLike[str],
    *,
    context: int | None = None,
    slots: int | None = None,
    threads: int | None = None,
    gpu: str | None = None,
    reproducible: bool = False,
    **settings: Any,
) -> Model:
    """Loads a model into this process: a GGUF file's path, or a name that `nightjar model list` shows.

    context: tokens per conversation. slots: conversations at once; default: as many as fit. gpu: a card's UUID or
    index, or "none" for the CPU alone. `settings`: further load settings (docs/models.md). What is not given comes from
    the registry. Raises UnknownNameError, SettingsError, ModelFileError, ModelFitError, ModelError.
    """
    given = _load_settings(context=context, slots=slots, threads=threads, reproducible=reproducible, **settings)
    return wait_for_work(_load(str(model), given, gpu))


async def aload(
    model: str | PathLike[str],
    *,
    context: int | None = None,
    slots: int | None = None,
    threads: int | None = None,
    gpu: str | None = None,
    reproducible: bool = False,
    **settings: Any,
) -> Model:
    """See `load`."""
    given = _load_settings(context=context, slots=slots, threads=threads, reproducible=reproducible, **settings)
    return await await_work(_load(str(model), given, gpu))


def _load_settings(**given: Any) -> dict[str, Any]:
    """The load settings that were given, checked. Raises SettingsError that names the first wrong one."""
    from pydantic import ValidationError

    from nightjar.config.errors import SettingsError
    from nightjar.config.load_settings import LoadSettings

    changes = {name: value for name, value in given.items() if value is not None and value is not False}
    try:
        LoadSettings.model_validate(changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = "" if name in LoadSettings.model_fields else f" Known: {', '.join(LoadSettings.model_fields)}."
        raise SettingsError(f"The load setting {name!r} is {first['input']!r}: {first['msg']}.{known}") from None
    return changes


async def _load(name: str, changes: Mapping[str, Any], gpu: str | None) -> Model:
    from nightjar.config.settings import load_settings
    from nightjar.scripts.chat_model import ChatModel, Subject, load_subject
    from nightjar.scripts.one_prompt import pin
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.workers.library.inspect import entry_facts

    pinned = pin(gpu)
    entry = await asyncio.to_thread(obtained, name, load_settings())
    subject = Subject(entry=entry, facts=await asyncio.to_thread(entry_facts, entry))
    return Model(ChatModel(await load_subject(subject, changes, pinned), subject))


async def _all(calls: list[Coroutine[Any, Any, ModelReply]]) -> list[ModelReply]:
    from nightjar.jobs.lanes import all_together

    return await all_together(calls)


def _text(given: Messages) -> str:
    if not isinstance(given, str):
        raise UsageError(f"A text is wanted here, not {type(given).__name__}; for messages use `chat`.")
    if has_surrogate(given):
        raise UsageError("The text is not valid Unicode (it has half of a surrogate pair).")
    return given
