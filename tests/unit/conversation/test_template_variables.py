"""Variables of the template reach every prompt of their turn, and are recorded with it."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.workers.conversation.local import LocalReplier, chat_template, conversation_on
from nightjar.workers.conversation.plan import plan_prompt
from nightjar.workers.conversation.template_render import SandboxRenderer
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.library.find import ModelEntry

TEMPLATE = "{% if enable_thinking is defined and not enable_thinking %}/no_think {% endif %}{{ messages[-1].content }}"
ENTRY = ModelEntry(name="m", path=Path("m.gguf"), load=LoadSettings(), parameters={}, template=TEMPLATE, reasoning=None)
SEQUENCE = Sequence(id="s", turns=(TurnSpec(prompt="Hi"),))


def test_each_turn_has_its_own() -> None:
    engine = ScriptedEngine(lambda *_: "")
    conversation = conversation_on(engine, SEQUENCE, chat_template(engine, ENTRY, "2026-01-01", SandboxRenderer()))
    said = [
        plan_prompt(conversation, 0, (), Parameters(template=variables)).text
        for variables in ({}, {"enable_thinking": False}, {"enable_thinking": True})
    ]
    assert said == ["Hi", "/no_think Hi", "Hi"]


def test_a_name_that_the_template_does_not_read_is_told_once() -> None:
    engine = ScriptedEngine(lambda *_: "")
    replier = LocalReplier(engine, ENTRY)
    conversation = conversation_on(engine, SEQUENCE, chat_template(engine, ENTRY, "2026-01-01", SandboxRenderer()))
    with capture_logs() as logs:
        for _ in range(2):
            replier.tell_unread(conversation, ["enable_thinking", "enable_thinkng"])
    assert [(entry["event"], entry["variable"]) for entry in logs] == [("template_variable_unread", "enable_thinkng")]
