"""The process that renders the templates of imported tasks: `python -m ...conversation.row_template_child`.

What a template gets past the sandbox ends this process and no other, as with chat templates (`template_child.py`).
"""

from __future__ import annotations

from typing import Any

from nightjar.config.limited_child import answer_questions
from nightjar.workers.conversation.row_templates import RowTemplates


def main() -> None:
    renderer = RowTemplates()
    answer_questions(lambda question: _answer(renderer, question))


def _answer(renderer: RowTemplates, question: dict[str, Any]) -> dict[str, Any]:
    return {"cells": renderer.cells(question["templates"], question["rows"])}


if __name__ == "__main__":
    main()
