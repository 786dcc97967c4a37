"""The process that renders chat templates: what it says, what ends it, and that it ends nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nightjar.config.errors import TemplateError
from nightjar.workers.conversation.template_process import MOST_ENDS, RendererProcess
from nightjar.workers.conversation.template_render import SandboxRenderer
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.engine.fake import CHAT_TEMPLATE

DATE = "2026-03-14"
HI = [{"role": "user", "content": "Hi \ud800 <b> é 你好\n"}]
WELL = "{{ messages[0].content }}"
FOREVER = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HOARD = "{% set n = namespace(x=[]) %}{% for a in range(99999) %}{% set n.x = [n.x, 'a' * 7000000 ~ a] %}{% endfor %}"
CRASH = (
    "{% set n = namespace(t=()) %}{% for a in range(30000) %}"
    "{% set n.t = ((((((((((n.t,),),),),),),),),),) %}{% endfor %}{{ {n.t: 1} | length }}"
)
"""Hashing a tuple 300,000 deep takes more stack than there is."""


@pytest.fixture
def unmetered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The module of a process whose meter counts nothing, as if a template had got past it."""
    (tmp_path / "unmetered.py").write_text(
        "from nightjar.workers.conversation import template_child, template_meter\n"
        "template_meter.Meter.charge = lambda self, units: None\n"
        "template_meter.Meter.weigh = lambda self, value: 0\n"
        "template_child.main()\n"
    )
    return scripted(monkeypatch, tmp_path, "unmetered")


def scripted(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> str:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )
    return name


def test_it_renders_and_refuses_as_this_process_does() -> None:
    """The same texts, whatever is in them, and the same words where a template is at fault."""
    here = SandboxRenderer()
    with RendererProcess() as there:
        for source in (CHAT_TEMPLATE, WELL, "{{ messages | tojson }}", "{{ tools is none }}{{ x }}"):
            assert ChatTemplate(source, date=DATE, renderer=there).render(HI) == ChatTemplate(source, date=DATE).render(
                HI
            )
        for source in ("a\n{{ raise_exception('No.') }}", "{{ messages[9].content }}", FOREVER):
            given = {"messages": HI}
            said = []
            for renderer in (here, there):
                renderer.compile(source, DATE)
                with pytest.raises(TemplateError) as caught:
                    renderer.render(source, DATE, given)
                said.append(str(caught.value))
            assert said[0] == said[1]
        with pytest.raises(TemplateError, match="does not compile, line 2"):
            ChatTemplate("a\n{% if %}", date=DATE, renderer=there)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (CRASH, "SIGSEGV"),
        (FOREVER, r"more than 1 s of processor time"),
        (HOARD, r"MemoryError|exit code 1"),
    ],
)
def test_what_gets_past_the_sandbox_ends_the_child_alone(unmetered: str, source: str, said: str) -> None:
    """The template is refused with the reason, and the next one is rendered in a new process."""
    with RendererProcess(module=unmetered, memory_bytes=2**29, cpu_s=1.0) as renderer:
        with pytest.raises(TemplateError, match=said):
            renderer.render(source, DATE, {"messages": HI})
        assert renderer.render(WELL, DATE, {"messages": HI}) == HI[0]["content"]


def test_a_template_that_always_ends_it_is_not_tried_for_ever(unmetered: str) -> None:
    with RendererProcess(module=unmetered) as renderer:
        for _ in range(MOST_ENDS):
            with pytest.raises(TemplateError, match="SIGSEGV"):
                renderer.render(CRASH, DATE, {"messages": HI})
        with pytest.raises(TemplateError, match="is not tried again"):
            renderer.render(CRASH, DATE, {"messages": HI})
        assert renderer.render(WELL, DATE, {"messages": HI}) == HI[0]["content"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("time.sleep(600)", "no answer in 2 s"),
        ("os.write(1, b'\\xff' * 64); time.sleep(600)", "no answer that can be read"),
        ("os.write(1, b'\\0\\0\\0\\2{]'); time.sleep(600)", "no answer that can be read"),
        ("os.write(1, b'\\0\\0\\0\\2[]'); time.sleep(600)", "no answer that can be read"),
        ("sys.exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGBUS)", "SIGBUS"),
    ],
)
def test_whatever_a_taken_over_child_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "rogue.py").write_text(f"import os, signal, sys, time\nsys.stdin.buffer.read(9)\n{code}\n")
    with (
        RendererProcess(module=scripted(monkeypatch, tmp_path, "rogue"), wall_s=2.0) as renderer,
        pytest.raises(TemplateError, match=said),
    ):
        renderer.render(WELL, DATE, {"messages": HI})


def test_one_that_somebody_kills_is_replaced_and_the_template_is_not_blamed() -> None:
    with RendererProcess() as renderer:
        for _ in range(MOST_ENDS + 1):
            assert renderer.render(WELL, DATE, {"messages": HI}) == HI[0]["content"]
            os.kill(child_of(os.getpid()), signal.SIGKILL)


def test_it_gets_no_secrets_ignores_the_groups_signals_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    renderer = RendererProcess()
    renderer.compile(WELL, DATE)
    child = child_of(os.getpid())
    assert b"secret" not in Path(f"/proc/{child}/environ").read_bytes()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(child, name)
    assert renderer.render(WELL, DATE, {"messages": HI}) == HI[0]["content"]
    assert child_of(os.getpid()) == child
    del renderer
    assert not Path(f"/proc/{child}").exists()


def test_it_ends_when_its_parent_is_killed() -> None:
    code = (
        "import os, time\n"
        "from nightjar.workers.conversation.template_process import RendererProcess\n"
        "renderer = RendererProcess()\n"
        f"renderer.compile({WELL!r}, {DATE!r})\n"
        "print(renderer._process._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
        end = time.monotonic() + 30
        while Path(f"/proc/{child}/status").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)


def child_of(parent: int) -> int:
    """The only child process that renders templates."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent and b"template_child" in line:
                found.append(int(entry.name))
    (child,) = found
    return child
