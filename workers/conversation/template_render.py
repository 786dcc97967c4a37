"""From a chat template and its variables to the text, or to what is wrong with it in a person's words. Pure."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import jinja2

from nightjar.config.errors import TemplateError
from nightjar.workers.conversation.template_meter import MAX_OBJECT, LimitError, Meter
from nightjar.workers.conversation.template_sandbox import RefusalError, Sandbox

TEMPLATE_REMEDY = (
    "Give the model another template in models.toml (template = FILE), or use `mode: completion` in the suite."
)
KEPT = 8
"""Templates kept compiled; a worker has one, and one more for each date of a run."""


class Renderer(Protocol):
    """What renders templates: this process, or one that may die of them (`template_process.py`)."""

    def compile(self, source: str, date: str) -> None:
        """Raises TemplateError, with the template's line, if it does not compile."""

    def render(self, source: str, date: str, variables: Mapping[str, Any]) -> str:
        """The text. `date`: ISO, what the template sees as today. Raises TemplateError."""


class SandboxRenderer:
    """Renders in this process. Not for two threads at once."""

    def __init__(self) -> None:
        self._compiled = lru_cache(maxsize=KEPT)(_compile)

    def compile(self, source: str, date: str) -> None:
        """See `Renderer`."""
        self._compiled(source, date)

    def render(self, source: str, date: str, variables: Mapping[str, Any]) -> str:
        """See `Renderer`."""
        sandbox, template = self._compiled(source, date)
        messages = variables.get("messages", ())
        sandbox.meter = Meter(len(messages), _characters(messages))
        parts: list[str] = []
        total = 0
        try:
            for part in template.generate(variables):
                parts.append(part)
                total += len(part)
                if total > MAX_OBJECT:
                    raise LimitError(f"it writes more than {MAX_OBJECT:,} characters")
        except Exception as error:  # whatever is raised here is the template's fault
            raise TemplateError(_failure(error)) from None
        return "".join(parts)


def _compile(source: str, date: str) -> tuple[Sandbox, jinja2.Template]:
    sandbox = Sandbox(datetime.fromisoformat(date))
    try:
        return sandbox, sandbox.from_string(source)
    except (jinja2.TemplateError, LimitError, SyntaxError, RecursionError, MemoryError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError | SyntaxError) else ""
        raise TemplateError(f"The chat template does not compile{line}: {_words(error)}. {TEMPLATE_REMEDY}") from None


def _characters(value: Any) -> int:
    """How much text a conversation has, in whatever form the template wants it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0


def _failure(error: Exception) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<template>"]
    where = f" (line {lines[-1]})" if lines else ""
    if isinstance(error, RefusalError):
        return f"The chat template refuses this conversation{where}: {_words(error)}. {TEMPLATE_REMEDY}"
    if isinstance(error, LimitError):
        return f"The chat template was stopped{where}: {_words(error)}. {TEMPLATE_REMEDY}"
    return f"The chat template cannot render this conversation{where}: {_words(error)}. {TEMPLATE_REMEDY}"


def _words(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    return text[:500] if text else type(error).__name__
