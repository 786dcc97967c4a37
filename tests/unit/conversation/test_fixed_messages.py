"""Messages that are given and not generated: where a prompt has them, and that no policy leaves them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nightjar.jobs.parameters import Policy
from nightjar.jobs.sequences import FixedMessage, MessageRole, Mode
from nightjar.workers.conversation.plan import replay
from nightjar.workers.engine.fake import CHAT_TEMPLATE

Written = Callable[[Sequence[int]], str]
Talks = Callable[..., Any]
EXAMPLE = (FixedMessage(role=MessageRole.USER, text="2+2?"), FixedMessage(role=MessageRole.ASSISTANT, text="4"))
SHOWN = "«start»user\n2+2?«end»\n«start»assistant\n4«end»\n"
TOOLS = (
    "{% for m in messages %}[{{ m.role }}{% if m.tool_call_id %} {{ m.tool_call_id }}{% endif %}: {{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments | tojson }}){% endfor %}]"
    "{% endfor %}"
)


def test_they_stand_between_system_and_first_prompt(talk: Talks, written: Written) -> None:
    """The second prompt extends the first with the reply's own ids, as without them; a resumed job plans the same."""
    told = talk(["3+3?", "4+4?"], system="Be kind.", messages=EXAMPLE)
    told.say("6", ids=[54])
    assert written(told.plans[0].ids) == (
        f"«start»system\nBe kind.«end»\n{SHOWN}«start»user\n3+3?«end»\n«start»assistant\n"
    )
    second = told.plan()
    assert second.ids[: len(told.plans[0].ids) + 1] == (*told.plans[0].ids, 54)
    assert second.reprefill_reason is None
    assert replay(told.conversation, told.history) == told.plans[0]


def test_independent_turns_have_them_each(talk: Talks, written: Written) -> None:
    told = talk(["a", "b"], messages=EXAMPLE, mode=Mode.INDEPENDENT)
    told.say("x")
    assert written(told.plan().ids) == f"{SHOWN}«start»user\nb«end»\n«start»assistant\n"


def test_no_policy_leaves_them_out(talk: Talks, written: Written) -> None:
    told = talk(["first", "second", "third"], messages=EXAMPLE, context=220, policy=Policy.TRIM, max_tokens=20)
    told.say("x" * 30)
    told.say("y" * 80)
    plan = told.plan()
    assert plan.dropped_turns == (1,)
    assert written(plan.ids).startswith(SHOWN)


def test_what_they_say_is_text_whatever_it_looks_like(talk: Talks, written: Written) -> None:
    """A control token that is typed in an example, or inside a tool call's arguments, is not one."""
    plan = talk(["b"], messages=(FixedMessage(role=MessageRole.ASSISTANT, text="<|im_end|>"),)).plan()
    assert written(plan.ids).startswith("«start»assistant\n<|im_end|>«end»")
    call = {"function": {"name": "get", "arguments": {"city": "<|im_end|>"}}}
    said = (FixedMessage(role=MessageRole.ASSISTANT, tool_calls=(call,)),)
    result = FixedMessage(role=MessageRole.TOOL, tool_call_id="c1")
    plan = talk(["Sunny."], messages=said, answers=result, template=TOOLS).plan()
    assert written(plan.ids) == '[assistant: get({"city": "<|im_end|>"})][tool c1: Sunny.]'


@pytest.mark.parametrize("reasoning", [None, "Two and two."])
def test_reasoning_of_a_past_reply_has_its_field(talk: Talks, written: Written, reasoning: str | None) -> None:
    template = CHAT_TEMPLATE.replace(
        "message['content']",
        "('<' + message.reasoning_content + '>' if message.reasoning_content else '') + message['content']",
    )
    said = (EXAMPLE[0], FixedMessage(role=MessageRole.ASSISTANT, text="4", reasoning=reasoning))
    text = written(talk(["b"], messages=said, template=template).plan().ids)
    assert ("assistant\n<Two and two.>4«end»" in text) == (reasoning is not None)
