"""The pieces of a stream, put together. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nightjar.jobs.remote_models import TokenUse
from nightjar.workers.remote.texts import estimate_text

if TYPE_CHECKING:
    from nightjar.workers.remote.client import ChatPiece

MOST_CALLS = 128


@dataclass
class GrowingAnswer:
    """What of an answer is there."""

    prompt_estimate: int
    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    use_said: TokenUse | None = None
    model: str | None = None
    fingerprint: str | None = None
    id: str | None = None
    calls: dict[int, dict[str, str]] = field(default_factory=dict)

    def add(self, piece: ChatPiece) -> None:
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.use_said = piece.use or self.use_said
        self.model = piece.model or self.model
        self.fingerprint = piece.fingerprint or self.fingerprint
        self.id = piece.id or self.id
        for call in piece.tool_calls:
            self._add_call(call)

    def _add_call(self, delta: dict[str, Any]) -> None:
        index, function = delta.get("index", 0), delta.get("function")
        if not isinstance(index, int) or not 0 <= index < MOST_CALLS:
            return
        call = self.calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        if isinstance(delta.get("id"), str):
            call["id"] = delta["id"]
        for key in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(key), str):
                call[key] += function[key]

    @property
    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        """As messages have them."""
        return tuple(
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for _, call in sorted(self.calls.items())
        )

    @property
    def use(self) -> TokenUse:
        """As the server counted, else by the lengths of the texts."""
        if self.use_said is not None:
            return self.use_said
        written = [self.text, *(call["name"] + call["arguments"] for call in self.calls.values())]
        thought = estimate_text(self.reasoning)
        return TokenUse(
            prompt=self.prompt_estimate,
            reply=sum(map(estimate_text, written)) + thought,
            reasoning=thought,
            estimated=True,
        )


def with_calls(text: str, calls: Sequence[Mapping[str, Any]]) -> str:
    """A reply with its calls as text after it, in the form in which many models write them themselves: so they are
    shown, scored, judged and kept in the conversation like any reply.
    """
    said = []
    for call in calls:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        with suppress(ValueError, RecursionError):  # as the model wrote it, where it is no JSON
            arguments = json.loads(arguments)
        written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        said.append(f"<tool_call>\n{written}\n</tool_call>")
    return "\n".join([*([text] if text.strip() else []), *said])


def changed_names(seen: Sequence[str | None], now: str | None) -> bool:
    """Whether an answer names itself otherwise than those before it."""
    return now is not None and any(name is not None and name != now for name in seen)
