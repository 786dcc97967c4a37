"""The prompts of a job as its model read them: rendered again by the model's own template, from its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ModelFileError, ParameterError
from nightjar.jobs.states import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightjar.config.settings import Settings
    from nightjar.jobs.documents import Job, Run
    from nightjar.jobs.models import ModelFacts
    from nightjar.jobs.parameters import Parameters
    from nightjar.jobs.sequences import Sequence as PromptSequence


@dataclass(frozen=True, kw_only=True)
class JobPrompts:
    """The prompts of a job as texts."""

    texts: list[str | None]
    """Of each turn; None from the turn on that is not as recorded."""
    under_way: str | None = None
    """Of the turn that is being replied to; None where none is, or it is known only when that turn is committed."""


def render_prompts(run: Run, job: Job, sequence: PromptSequence, settings: Settings) -> JobPrompts:
    """The text of each turn's prompt, and of the one that is under way.

    Only the file's vocabulary is loaded. Raises ModelFileError where the file is not here, or is another one than the
    run's; UnknownNameError, TemplateError.
    """
    from nightjar.scripts.one_prompt import log_to_file
    from nightjar.workers.conversation.prompts import open_conversation
    from nightjar.workers.conversation.remembering import given_facts, remembering
    from nightjar.workers.conversation.rendered import coming_prompt, rendered_prompts
    from nightjar.workers.conversation.template_process import RendererProcess
    from nightjar.workers.conversation.templates import ChatTemplate
    from nightjar.workers.engine.llama.model import LlamaModel
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.inspect import entry_facts

    used = next(model for model in (*run.models, *run.helpers) if model.name == job.model)
    entry = find_file(used.path or used.name, settings)
    facts = entry_facts(entry)
    if used.digest is not None and facts.digest != used.digest:
        raise ModelFileError(f"{entry.path} is not the file that the run used.")
    if not used.loads:
        raise ModelFileError("the run does not say with which context it was loaded.")
    log_to_file()
    model = LlamaModel(entry.path, gpu_layers=0, mmap=True, mlock=False, vocabulary_only=True)
    renderer = RendererProcess()
    try:
        source, tokenizer = entry.template or model.chat_template, model.tokenizer
        template = source and ChatTemplate(
            source,
            bos_text=tokenizer.bos_text,
            eos_text=tokenizer.eos_text,
            date=run.date,
            system=entry.system,
            reasoning=entry.reasoning,
            renderer=renderer,
        )
        conversation = open_conversation(
            remembering(sequence, given_facts(job.turns), entry.system),
            template=template or None,
            tokenizer=tokenizer,
            context=used.loads[-1].context,
            bos_text=tokenizer.bos_text,
        )
        texts = rendered_prompts(conversation, job.turns)
        asked = _parameters(run, job, sequence, facts, entry.parameters)
        under_way = None if asked is None else coming_prompt(conversation, job.turns, asked)
        return JobPrompts(texts=texts, under_way=under_way)
    finally:
        renderer.close()
        model.close()


def _parameters(
    run: Run, job: Job, sequence: PromptSequence, facts: ModelFacts, own: Mapping[str, Any]
) -> Parameters | None:
    """What the turn under way is generated with; None where none is, or that cannot be known here."""
    from nightjar.workers.conversation.turns import turn_parameters

    turn, variant = len(job.turns), run.variant(job.variant)
    if job.status is not JobStatus.RUNNING or turn >= len(sequence.turns):
        return None
    given = variant.parameters if variant is not None else {}
    try:
        return turn_parameters(run, facts, own, sequence, turn, kind=job.kind, variant=given).values
    except ParameterError:
        return None
