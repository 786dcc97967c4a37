"""Every chat template in llama-cpp-python's source package renders as transformers renders it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from nightjar.config.errors import TemplateError
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.workers.conversation.plan import plan_prompt
from nightjar.workers.conversation.prompts import open_conversation
from nightjar.workers.conversation.templates import ChatTemplate, Message
from nightjar.workers.engine.fake import ByteTokenizer
from tests.documents import a_turn

PROJECT = Path(__file__).parents[3]
DATE = "2026-03-14"
BOS, EOS = "<s>", "</s>"
TEMPLATES = 70
"""In the pinned package; docs/templates.md gives the same number."""
TOOL_LOOPS = {
    "CohereForAI-c4ai-command-r-plus-tool_use.jinja",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja",
}
"""Loop over `tools`: transformers refuses them without any, we give an empty list, as transformers can be told to."""
REFUSED = {"fireworks-ai-llama-3-firefunction-v2.jinja": "reads `functions` and `datetime`, which no caller gives"}
"""Both refuse every conversation."""
NO_SYSTEM = {"google-gemma-2-2b-it.jinja"}
"""Both refuse a system message."""
NO_EMPTY_REPLY = {"mistralai-Ministral-3-14B-Reasoning-2512.jinja"}
"""Both refuse a conversation in which a reply was empty."""

USERS = (
    ("Tell me a story.", "  Ünïcödé 你好\u200b \n", "\n\t<b>&amp;</b> '\"{{ x }} {% y %}\\n ", "<|im_start|>system\n"),
    ("a", "Second question?", "Third.", "Fourth."),
)
REPLIES = (
    ("  Once upon a time. ", "<think>\nhm\n</think>\n\nIt ended.", "", "x"),
    ("Yes.", "No.", "Perhaps\n", "y"),
)
SYSTEMS = (None, "You are kind.", "  Über \n 'quoted'\n")


@pytest.fixture(scope="session")
def templates(request: pytest.FixtureRequest) -> dict[str, str]:
    """The templates by file name, from the pinned source package; kept in pytest's cache, never in the project."""
    assert request.config.cache is not None
    pin = _pinned_package()
    kept = request.config.cache.mkdir("chat-templates-" + re.sub(r"\W+", "-", pin.split(" ")[0]))
    if not (kept / "complete").exists():
        _fetch(pin, kept)
        (kept / "complete").touch()
    return {path.name: path.read_text("utf-8") for path in sorted(kept.glob("*.jinja"))}


def _pinned_package() -> str:
    """The requirement with its hashes, from the lock."""
    lock = (PROJECT / "scripts/locks/run.lock").read_text()
    found = re.search(r"^llama-cpp-python==(?:.*\\\n)*.*$", lock, re.MULTILINE)
    assert found, "llama-cpp-python is not in scripts/locks/run.lock"
    return found.group()


def _fetch(pin: str, kept: Path) -> None:
    wanted = kept / "requirement.txt"
    wanted.write_text(pin + "\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=llama-cpp-python"]
    command += ["--no-build-isolation", "--require-hashes", "-r", str(wanted), "-d", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    packages = sorted(kept.glob("llama_cpp_python-*.tar.gz"))
    if done.returncode or not packages:
        pytest.fail(
            "The real chat templates come from llama-cpp-python's source package, and pip could not download it. "
            "Give pip an index it can reach (`pip config`, PIP_INDEX_URL), then run the test again. pip said: "
            + (done.stderr or done.stdout)[-600:]
        )
    with tarfile.open(packages[-1]) as package:
        for member in package:
            path = PurePosixPath(member.name)
            if member.isfile() and path.parent.name == "templates" and path.suffix == ".jinja":
                content = package.extractfile(member)
                assert content is not None
                (kept / path.name).write_bytes(content.read())
    packages[-1].unlink()


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """transformers' rendering on the fixed date; None where it raises."""
    from transformers.utils import chat_template_utils

    class FixedDate(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> FixedDate:
            return cls.fromisoformat(DATE)

    monkeypatch.setattr(chat_template_utils, "datetime", FixedDate)

    def render(source: str, messages: list[Message], tools: list[Any] | None = None) -> str | None:
        try:
            texts, _ = chat_template_utils.render_jinja_template(
                [messages],
                tools=tools,
                chat_template=source,
                add_generation_prompt=True,
                bos_token=BOS,
                eos_token=EOS,
            )
        except Exception:
            return None
        return str(texts[0])

    return render


def test_every_template_renders_as_transformers_renders_it(
    templates: dict[str, str], reference: Callable[..., str | None]
) -> None:
    """Equal text, or refused by both, for every conversation; those that differ are named in docs/templates.md."""
    different: dict[str, list[str]] = {}
    refused: dict[str, int] = {}
    for name, source in templates.items():
        template = ChatTemplate(source, bos_text=BOS, eos_text=EOS, date=DATE)
        for messages in _conversations():
            theirs, ours = reference(source, messages), _rendered(template, messages)
            if theirs != ours:
                different.setdefault(name, []).append(f"{messages}\n{theirs!r}\n{ours!r}")
            refused[name] = refused.get(name, 0) + (ours is None)
    count = len(list(_conversations()))
    assert len(templates) == TEMPLATES
    assert set(different) == TOOL_LOOPS, "\n\n".join(f"{name}: {cases[0]}" for name, cases in different.items())
    assert {name for name, times in refused.items() if times == count} == set(REFUSED)
    assert {name for name, times in refused.items() if 0 < times < count} == NO_SYSTEM | NO_EMPTY_REPLY


def test_templates_that_loop_over_tools_get_an_empty_list(
    templates: dict[str, str], reference: Callable[..., str | None]
) -> None:
    """They render as transformers does when it is given no tools in a list."""
    for name in TOOL_LOOPS:
        template = ChatTemplate(templates[name], bos_text=BOS, eos_text=EOS, date=DATE)
        for messages in _conversations():
            assert (text := _rendered(template, messages)) is not None
            assert text == reference(templates[name], messages, tools=[])


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_planned_prompts_equal_the_reference(
    templates: dict[str, str], reference: Callable[..., str | None], users: tuple[str, ...], system: str | None
) -> None:
    """From a sequence to the prompt's text: guards leave no trace, system messages arrive, merged where refused."""
    for name, source in templates.items():
        template = ChatTemplate(source, bos_text=BOS, eos_text=EOS, date=DATE)
        sequence = Sequence(id="s", system=system, turns=tuple(TurnSpec(prompt=user) for user in users[:3]))
        conversation = open_conversation(
            sequence, template=template, tokenizer=ByteTokenizer(), context=100_000, bos_text=BOS
        )
        history = [_turn(0, users[0], "Reply one."), _turn(1, users[1], "  Reply two.\n")]
        if name in REFUSED:
            with pytest.raises(TemplateError, match="models"):
                plan_prompt(conversation, 2, history, Parameters())
            continue
        plan = plan_prompt(conversation, 2, history, Parameters())
        merged = system is not None and name in NO_SYSTEM
        opening = f"{system}\n\n{users[0]}" if merged else users[0]
        told = [] if system is None or merged else [{"role": "system", "content": system}]
        messages = [
            *told,
            {"role": "user", "content": opening},
            {"role": "assistant", "content": "Reply one."},
            {"role": "user", "content": users[1]},
            {"role": "assistant", "content": "  Reply two.\n"},
            {"role": "user", "content": users[2]},
        ]
        tools: list[Any] | None = [] if name in TOOL_LOOPS else None
        assert plan.text == reference(source, messages, tools=tools), name
        assert plan.system_merged is merged
        assert plan.ids.count(ByteTokenizer().tokenize(BOS, parse_special=True)[0]) <= 1 + source.count(BOS), name


def test_the_result_is_written_down(templates: dict[str, str]) -> None:
    """docs/templates.md gives the number of templates and names each that is not simply equal."""
    page = (PROJECT / "docs/templates.md").read_text("utf-8")
    plainly_equal = TEMPLATES - len(TOOL_LOOPS) - len(REFUSED) - len(NO_SYSTEM | NO_EMPTY_REPLY)
    assert f"{plainly_equal} of {TEMPLATES}" in page
    for name in (*TOOL_LOOPS, *REFUSED, *NO_SYSTEM, *NO_EMPTY_REPLY):
        assert name.removesuffix(".jinja") in page


def _conversations() -> list[list[Message]]:
    """One to three turns, with and without a system message, plain and awkward texts, thoughts in their own field."""
    found: list[list[Message]] = []
    for users, replies in zip(USERS, REPLIES, strict=True):
        for system in SYSTEMS:
            for turns in (1, 2, 3, 4):
                messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
                for turn in range(turns):
                    messages.append({"role": "user", "content": users[turn]})
                    if turn < turns - 1:
                        messages.append({"role": "assistant", "content": replies[turn]})
                found.append(messages)
    thinking = [dict(m) for m in found[-1]]
    for message in thinking:
        if message["role"] == "assistant":
            message |= {"reasoning_content": "Hm.\n", "thinking": "Hm.\n", "reasoning": "Hm.\n"}
    return [*found, thinking]


def _rendered(template: ChatTemplate, messages: list[Message]) -> str | None:
    try:
        return template.render(messages)
    except TemplateError:
        return None


def _turn(index: int, prompt: str, reply: str) -> TurnRecord:
    return a_turn(index, prompt=prompt, reply=reply, reply_ids=tuple(reply.encode()), policy=Parameters().policy)
