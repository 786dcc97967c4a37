"""The process that renders a worker's chat templates: `python -m nightjar.workers.conversation.template_child`.

Whatever a template gets past the sandbox (`template_sandbox.py`) ends this process and no other: it has limits of its
own on memory and processor time, no secrets in its environment, and nothing open but two pipes.
"""

from __future__ import annotations

from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.config.limited_child import answer_questions
from nightjar.workers.conversation.template_render import SandboxRenderer


def main() -> None:
    renderer = SandboxRenderer()
    answer_questions(lambda question: _answer(renderer, question))


def _answer(renderer: SandboxRenderer, question: dict[str, Any]) -> dict[str, str]:
    source, date, variables = question["source"], question["date"], question["variables"]
    try:
        if variables is None:
            renderer.compile(source, date)
            return {"text": ""}
        return {"text": renderer.render(source, date, variables)}
    except TemplateError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
