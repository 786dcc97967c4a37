"""The process that asks a vision model about pictures: `python -m nightjar.workers.photos.caption_child`.

See `LimitedProcess`. The model is loaded with the first question, and all questions of a process are about that one.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import NightjarError
from nightjar.config.limited_child import answer_questions

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.vision import VisionModel

DATE = "2026-01-01"
"""What a template is told, so that one picture gets one caption on every day."""


def main() -> None:
    answer_questions(_answer, beyond_start=True)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        model = _model(question["model"], question["projector"], question["context"], question["threads"])
        prompt = rendered_prompt(model, question["template"], question["prompt"])
        pixels = base64.b64decode(question["pixels"])
        reply = model.reply(prompt, pixels, question["width"], question["height"], question["most_tokens"])
    except (NightjarError, MemoryError) as error:
        return {"error": str(error) or type(error).__name__}
    return {"reply": reply}


@cache
def _model(path: str, projector: str, context: int, threads: int) -> VisionModel:
    from nightjar.workers.engine.llama.vision import VisionModel

    return VisionModel(Path(path), Path(projector), context=context, threads=threads)


def rendered_prompt(model: VisionModel, template: str | None, prompt: str) -> str:
    """The question below the picture, as the model's own template writes a message of a user.

    Raises TemplateError where the template breaks or drops it.
    """
    from nightjar.config.errors import TemplateError
    from nightjar.workers.conversation.templates import ChatTemplate
    from nightjar.workers.engine.llama.vision import MARKER

    source = template or model.chat_template
    content = f"{MARKER}\n{prompt}"
    if source is None:
        return f"{content}\n"
    bos, eos = model.texts
    text = ChatTemplate(source, bos_text=bos, eos_text=eos, date=DATE).render([{"role": "user", "content": content}])
    if text.count(MARKER) != 1:
        raise TemplateError(f"The model's template has no place for a picture: it wrote {text[:200]!r}.")
    return text


if __name__ == "__main__":
    main()
