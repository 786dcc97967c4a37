"""A conversation with scripted replies: plans, draws and records as a worker makes them, without an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pytest

from nightjar.jobs.parameters import ParameterSource, Resolved, resolve
from nightjar.jobs.records import Summary, Timings, TurnRecord
from nightjar.jobs.sequences import Document, FixedMessage, Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.plan import PromptPlan, plan_prompt
from nightjar.workers.conversation.prompts import Conversation, open_conversation
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import turn_draw, turn_record, turn_reply
from nightjar.workers.engine.fake import CHAT_TEMPLATE, TURN_END, ByteTokenizer
from nightjar.workers.engine.request import Generation

TIMINGS = Timings(queue_s=0, prefill_s=0, decode_s=0)
NOW = datetime(2026, 3, 14, tzinfo=UTC)


@dataclass
class Talk:
    conversation: Conversation
    resolved: Resolved
    history: list[TurnRecord] = field(default_factory=list)
    plans: list[PromptPlan] = field(default_factory=list)

    def plan(self, **parameters: Any) -> PromptPlan:
        """The plan of the next turn."""
        resolved = self._resolved(parameters)
        previous = self.plans[-1] if self.plans else None
        return plan_prompt(self.conversation, len(self.history), self.history, resolved.values, previous)

    def say(
        self,
        reply: str,
        *,
        ids: Sequence[int] | None = None,
        stop: str | None = None,
        plan: PromptPlan | None = None,
        summaries: Sequence[Summary] = (),
        recalled_by: str | None = None,
        **parameters: Any,
    ) -> TurnRecord:
        """The next turn with this reply; `ids` where the reply was generated as other ids than its text's."""
        resolved = self._resolved(parameters)
        plan = plan or self.plan(**parameters)
        generation = Generation(
            token_ids=tuple(reply.encode("utf-8", "surrogatepass")) if ids is None else tuple(ids),
            text=reply,
            finish_reason="stop",
            stop_string=stop,
            prompt_tokens=len(plan.ids),
            reused_tokens=0,
            timings=TIMINGS,
        )
        draw = turn_draw(self.conversation, plan, resolved, generation, seed=1)
        made = turn_reply(plan, resolved, [draw], generation, summaries, recalled_by)
        record = turn_record(made, self.conversation.sequence, self.history, fence=1, worker="w", now=NOW)
        self.plans.append(plan)
        self.history.append(record)
        return record

    def _resolved(self, parameters: dict[str, Any]) -> Resolved:
        if not parameters:
            return self.resolved
        return resolve([(ParameterSource.SUITE, self.resolved.values.model_dump()), (ParameterSource.SET, parameters)])


@lru_cache(maxsize=64)
def _compiled(template: str, bos_text: str, reasoning: tuple[str, str] | None) -> ChatTemplate:
    return ChatTemplate(template, bos_text=bos_text, date="2026-03-14", reasoning=reasoning)


@pytest.fixture
def talk() -> Callable[..., Talk]:
    """Opens a conversation on the byte tokenizer; `template` None is completion mode; `answers`: of every turn."""

    def open_talk(
        prompts: Sequence[str],
        *,
        template: str | None = CHAT_TEMPLATE,
        system: str | None = None,
        mode: Mode = Mode.CHAT,
        context: int = 10_000,
        tokenizer: ByteTokenizer | None = None,
        bos_text: str = "",
        documents: Sequence[tuple[str, str]] = (),
        reasoning: tuple[str, str] | None = None,
        messages: Sequence[FixedMessage] = (),
        answers: FixedMessage | None = None,
        **parameters: Any,
    ) -> Talk:
        compiled = _compiled(template, bos_text, reasoning) if template else None
        sequence = PromptSequence(
            id="story",
            system=system,
            mode=mode if template else Mode.COMPLETION,
            messages=tuple(messages),
            turns=tuple(TurnSpec(prompt=prompt, answers=answers) for prompt in prompts),
            documents=tuple(Document(name=name, text=text) for name, text in documents),
        )
        conversation = open_conversation(
            sequence, template=compiled, tokenizer=tokenizer or ByteTokenizer(), context=context, bos_text=bos_text
        )
        return Talk(conversation, resolve([(ParameterSource.SUITE, parameters)]))

    return open_talk


@pytest.fixture
def written() -> Callable[[Sequence[int]], str]:
    """Ids as text, control tokens written out between guillemets so that typed ones look different."""

    def write(ids: Sequence[int]) -> str:
        names = {256: "«s»", 257: "«start»", TURN_END: "«end»"}
        return b"".join(names[i].encode() if i in names else bytes([i]) for i in ids).decode("utf-8", "replace")

    return write
