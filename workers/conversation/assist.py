"""ASSIST jobs: what only a loaded model's own vocabulary, template or weights can tell of a text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nightjar.config.errors import ModelError, ParameterError
from nightjar.jobs.live.task import TaskKind
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.given_text import GivenText, complete_given, given_parameters
from nightjar.workers.conversation.local import LocalReplier, conversation_on
from nightjar.workers.conversation.local_model import LocalModel
from nightjar.workers.conversation.prompts import Compression, write_prompt
from nightjar.workers.conversation.replier import Embedder, ServedModel
from nightjar.workers.engine.request import Engine


async def assist(task: str, given: Mapping[str, Any], model: ServedModel, date: str, job: str = "") -> dict[str, Any]:
    """The result of a task; `TaskKind` has the fields. `date`: what a template sees as today. `job`: who asks.

    Raises ParameterError for ids that the vocabulary has not, TemplateError, ModelError, and as `Embedder.embed` and
    `complete_given` do.
    """
    if not isinstance(model, LocalModel):
        raise ModelError(f"{model.facts.name!r} is not loaded here; only its replies can be had.")
    engine = model.engine
    kind = TaskKind(task)
    if kind is TaskKind.EMBED:
        return await _embed(given["texts"], model, engine)
    if kind is TaskKind.VOCABULARY:
        return _vocabulary(engine, model)
    if kind is TaskKind.DETOKENIZE:
        return {"text": engine.tokenizer.detokenize(_known(given["ids"], engine))}
    if kind is TaskKind.COMPLETE:
        return await _complete(given, model, engine, job)
    text = await _render(given["sequence"], model, date) if "sequence" in given else str(given["text"])
    if kind is TaskKind.RENDER:
        return {"text": text}
    ids = await asyncio.to_thread(engine.tokenizer.tokenize, text, parse_special=True)
    bos = engine.tokenizer.bos
    if bos is not None and given.get("add_special") and ids[:1] != [bos]:
        ids = [bos, *ids]
    return {"ids": ids, "context": engine.load.context}


async def _embed(texts: Sequence[str], model: ServedModel, engine: Engine) -> dict[str, Any]:
    if not isinstance(model, Embedder):
        raise ModelError(f"{model.facts.name!r} generates text; embeddings need an embedding model.")
    embeddings = await model.embed(texts)
    tokens = await asyncio.to_thread(lambda: sum(len(engine.tokenize(text.strip())) for text in texts))
    return {
        "vectors": [np.asarray(embedding.vector, dtype="<f4").tobytes() for embedding in embeddings],
        "tokens": tokens,
    }


async def _complete(given: Mapping[str, Any], model: ServedModel, engine: Engine, job: str) -> dict[str, Any]:
    """Ids are taken as they are; a text gets the control tokens that the model wants before one."""
    registry = model.entry.parameters if isinstance(model, LocalReplier) else {}
    if "ids" in given:
        ids = _known(given["ids"], engine)
        text = await asyncio.to_thread(engine.tokenizer.detokenize, ids)
    else:
        text = str(given["text"])
        ids = await asyncio.to_thread(engine.tokenize, text)
    asked = GivenText(
        id=job,
        text=text,
        ids=tuple(ids),
        echo=given["echo"],
        likely=given["likely"],
        max_tokens=given["max_tokens"],
        seed=given["seed"],
        parameters=given_parameters(given["parameters"], registry, engine.facts.sampling_defaults, given["likely"]),
    )
    return await complete_given(asked, engine)


def _vocabulary(engine: Engine, model: ServedModel) -> dict[str, Any]:
    own = model.entry.template if isinstance(model, LocalReplier) else None
    return {
        "bos_text": engine.bos_text,
        "eos_text": engine.eos_text,
        "add_bos": engine.tokenizer.bos is not None,
        "chat_template": own or engine.chat_template,
        "size": engine.facts.file_facts.vocabulary,
        "context": engine.load.context,
    }


def _known(ids: Sequence[int], engine: Engine) -> list[int]:
    size = engine.facts.file_facts.vocabulary
    for token in ids:
        if not 0 <= token < size:
            raise ParameterError(f"{token} is no token id of {engine.facts.name!r}: they are 0 to {size - 1}.")
    return list(ids)


async def _render(stored: Mapping[str, Any], model: ServedModel, date: str) -> str:
    """The prompt of the conversation's only turn, as the model would be given it."""
    if not isinstance(model, LocalReplier):
        raise ModelError(f"{model.facts.name!r} has no chat template.")
    sequence = PromptSequence.model_validate(stored)
    variables = Parameters(**sequence.parameters).template

    def render() -> str:
        conversation = conversation_on(model.engine, sequence, model.template(date))
        return write_prompt(conversation, 0, [], Compression(), (), variables=variables).rendering.text

    return await model.plan(render)
