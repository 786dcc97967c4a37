"""The prompts of a job as its model read them: rendered again by the model's own template, from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.config.errors import ModelFileError

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.documents import Job, Run
    from nightjar.jobs.sequences import Sequence as PromptSequence


def render_prompts(run: Run, job: Job, sequence: PromptSequence, settings: Settings) -> list[str | None]:
    """The text of each turn's prompt; None from the turn on that is not as recorded.

    Only the file's vocabulary is loaded. Raises ModelFileError where the file is not here, or is another one than the
    run's; UnknownNameError, TemplateError.
    """
    from nightjar.scripts.one_prompt import log_to_file
    from nightjar.workers.conversation.prompts import open_conversation
    from nightjar.workers.conversation.remembering import given_facts, remembering
    from nightjar.workers.conversation.rendered import rendered_prompts
    from nightjar.workers.conversation.template_process import RendererProcess
    from nightjar.workers.conversation.templates import ChatTemplate
    from nightjar.workers.engine.llama.model import LlamaModel
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.inspect import entry_facts

    used = next(model for model in (*run.models, *run.helpers) if model.name == job.model)
    entry = find_file(used.path or used.name, settings)
    if used.digest is not None and entry_facts(entry).digest != used.digest:
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
        return rendered_prompts(conversation, job.turns)
    finally:
        renderer.close()
        model.close()
