"""A real small chat model through the commands: it answers, judges, obeys a schema, summarises, and survives a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.sequences import Sequence
from nightjar.scripts.dev.bench.server import Server, find_server
from nightjar.workers.conversation.plan import PromptPlan, plan_prompt
from nightjar.workers.conversation.prompts import open_conversation
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from tests.documents import a_turn
from tests.shell import Shell
from tests.smollm2 import smollm2

pytestmark = pytest.mark.timeout(1200)  # a minute or two where nothing else runs
LIMIT_S = 1000
CONTEXT, REPLY = 1536, 200
FACTS = " ".join(
    f"In {1800 + 7 * n} the village of {name} built a {what} beside the river, and it cost {12 * n + 5} silver coins."
    for n, (name, what) in enumerate(
        [("Arden", "mill"), ("Boll", "school"), ("Cray", "bridge"), ("Dunn", "bakery"), ("Esk", "library")]
    )
)
"""About 150 tokens."""
SCHEMA = {
    "type": "object",
    "properties": {"animal": {"enum": ["fox", "hen", "owl"]}, "legs": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["animal", "legs"],
    "additionalProperties": False,
}
ASKED = ("Tell me more about the first village.", "And which of them would you visit?", "What did the school cost?")
SUITE: dict[str, Any] = {
    "nightjar": 1,
    "name": "real",
    "parameters": {"temperature": 0.7, "max_tokens": REPLY, "policy": "summarise"},
    "sequences": [
        {"id": "talk", "turns": [f"{FACTS} {question}" for question in ASKED]},
        {
            "id": "long",
            "parameters": {"max_tokens": 48},
            "turns": [f"Part {n}. {FACTS} {FACTS} {ASKED[n % 3]}" for n in range(6)],
        },
        {
            "id": "json",
            "parameters": {"json_schema": SCHEMA},
            "turns": ["Which animal lays eggs? Answer as JSON.", "Which one hunts at night? Answer as JSON."],
        },
    ],
}
STORIES: dict[str, Any] = {
    "nightjar": 1,
    "name": "killed",
    "parameters": {"temperature": 0.7, "max_tokens": 120},
    "sequences": [
        {"id": name, "turns": [f"Tell me a long story about a fox named {name}.", "Go on.", "How does it end?"]}
        for name in ("Mira", "Otto")
    ],
}
RUBRIC = """
criteria:
  - name: plot
    description: Things happen.
    scale: {1: Nothing happens., 2: Something happens., 3: A lot happens.}
"""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The turns of each sequence in the report of one evaluation."""

    turns: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def real(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Commands that know the model as `smollm2`; these tests share a folder and a database."""
    folder = tmp_path_factory.mktemp("smollm2")
    environment = {
        "NIGHTJAR_HOME": str(acceptance_home),
        "NIGHTJAR_MONGO_DATABASE": f"t{uuid.uuid4().hex[:12]}",
        "NIGHTJAR_MODELS_FILE": str(folder / "models.toml"),
        "NIGHTJAR_MODEL__CONTEXT": str(CONTEXT),
        "NIGHTJAR_LEASE_S": "5",
    }
    shell = Shell(folder=folder, environment=environment, limit_s=LIMIT_S)
    shell.ok("model", "add", smollm2(), "--name", "smollm2")
    for name, text in (
        ("real.yaml", yaml.safe_dump(SUITE)),
        ("killed.yaml", yaml.safe_dump(STORIES)),
        ("rubric.yaml", RUBRIC),
    ):
        (folder / name).write_text(text)
    return shell


@pytest.fixture(scope="module")
def evaluated(real: Shell) -> Evaluated:
    """One evaluation, looked at by several tests."""
    flags = ("--model", "smollm2", "--slots", "4", "--name", "real", "--out", "reports", "--format", "json")
    real.ok("eval", "--suite", "real.yaml", *flags)
    report = json.loads((real.folder / "reports/real.json").read_text())
    assert {job["status"] for job in report["jobs"]} == {"DONE"}
    return Evaluated(turns={job["sequence"]: job["turns"] for job in report["jobs"]})


def test_every_turn_of_three_with_200_tokens_each_is_answered(evaluated: Evaluated) -> None:
    """Prompts and replies of up to 200 tokens: no turn is empty, and later ones compute only what is new."""
    turns = evaluated.turns["talk"]
    assert len(turns) == 3
    assert all(turn["reply_tokens"] > 1 and turn["reply"].strip() for turn in turns)
    assert not any(turn["empty"] or turn["dropped_turns"] for turn in turns)
    for before, turn in pairwise(turns):
        assert turn["reprefill_reason"] is None
        assert turn["reused_tokens"] >= before["prompt_tokens"] + before["reply_tokens"] - 1


def test_replies_obey_their_schema(evaluated: Evaluated) -> None:
    replies = [json.loads(turn["reply"]) for turn in evaluated.turns["json"]]
    assert len(replies) == 2
    for reply in replies:
        assert set(reply) == {"animal", "legs"}
        assert reply["animal"] in ("fox", "hen", "owl")
        assert reply["legs"] in range(1, 10)


def test_old_turns_are_summarised_and_every_turn_is_answered(evaluated: Evaluated) -> None:
    """Six turns of about 350 tokens in a context of 1,536: the later prompts stand on summaries, and fit."""
    turns = evaluated.turns["long"]
    assert len(turns) == 6
    assert all(turn["reply"].strip() for turn in turns)
    assert all(turn["prompt_tokens"] + turn["reply_tokens"] <= CONTEXT for turn in turns)
    first = next(turn for turn in turns if turn["dropped_turns"])
    assert first["reprefill_reason"] == "history summarised"


@contextmanager
def process(shell: Shell, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `nightjar` process beside the commands of a test."""
    with (shell.folder / f"{arguments[0]}.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "nightjar", *arguments],
            cwd=shell.folder,
            env=shell.environ(),
            stdout=log,
            stderr=log,
        )
        try:
            yield started
        finally:
            started.terminate()
            started.wait(60)


def turns_of(shell: Shell, job: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = shell.json("run", "show", "killed", "--job", job)["job"]["turns"]
    return shown


def test_a_killed_worker_is_resumed_and_its_run_is_judged(real: Shell) -> None:
    """SIGKILL between two turns: committed ones stay as they were, the others follow in full; the model then judges
    them, on the scale."""
    judge = ("--judge", "smollm2", "--self-judging", "--rubric", "rubric.yaml")
    real.ok("suite", "import", "killed.yaml")
    real.ok("enqueue", "--suite", "killed", "--model", "smollm2", "--name", "killed", *judge)
    with (
        process(real, "dispatcher"),
        process(real, "worker", "--model", "smollm2", "--slots", "2", "--gpu", "none") as worker,
    ):
        end = time.monotonic() + 400
        while not (before := turns_of(real, "Mira")):
            assert time.monotonic() < end, "no turn was committed"
        for child in psutil.Process(worker.pid).children():  # its supervisor starts another
            child.kill()
        waited = real.run("run", "wait", "killed", "--timeout", "700")
        assert waited.returncode == 0, waited.stderr
        after = turns_of(real, "Mira")

    assert len(before) < 3, "it was killed too late"
    assert after[: len(before)] == before
    real.ok("report", "killed", "-f", "json", "--out", "reports")
    report = json.loads((real.folder / "reports/killed.json").read_text())
    turns = [turn for job in report["jobs"] for turn in job["turns"]]
    assert len(turns) == 6
    assert all(turn["reply"].strip() and turn["reprefill_reason"] is None for turn in turns)
    assert sum(len(job["attempts"]) > 1 for job in report["jobs"]) >= 1
    assert all(turn["scores"]["judge.plot"]["value"] in (1, 2, 3) for turn in turns)


@pytest.fixture
async def engine() -> AsyncIterator[BatchEngine]:
    opened = await load(smollm2(), settings=LoadSettings(slots=1, context=512), gpu="none")
    yield opened
    await opened.close()


def planned(engine: BatchEngine, system: str | None, prompts: list[str], replies: list[str]) -> PromptPlan:
    """The prompt of the turn after these replies."""
    sequence = Sequence.model_validate({"id": "s", "system": system, "turns": [{"prompt": text} for text in prompts]})
    assert engine.chat_template is not None
    template = ChatTemplate(engine.chat_template, bos_text=engine.bos_text, eos_text=engine.eos_text, date="2026-03-14")
    conversation = open_conversation(
        sequence, template=template, tokenizer=engine.tokenizer, context=512, bos_text=engine.bos_text
    )
    history = [a_turn(n, prompt=prompts[n], reply=reply) for n, reply in enumerate(replies)]
    return plan_prompt(conversation, len(replies), history, Parameters())


CHATS = [
    (None, ["Tell me a story."], []),
    ("You are kind.", ["  Ünïcödé 你好\u200b \n", "a\n\n\tb", "12345 6,789.0"], ["  Yes. ", "No\n"]),
    (None, ["x", "You're 3/4 right; l'été, don't!", "🦊🦊"], ["", "Once upon a time\nthere was"]),
]


async def test_prompts_are_llama_servers_own_in_text_and_ids(engine: BatchEngine, tmp_path: Path) -> None:
    """What its /apply-template and /tokenize make of the same conversations; a default system prompt is the model's."""
    program = find_server(None, None)
    assert program is not None, "xllamacpp is not installed; it is a development dependency"
    server = Server(program, smollm2(), slots=1, context=512, threads=1, log=tmp_path / "server.log")
    try:
        for system, prompts, replies in CHATS:
            messages = [{"role": "system", "content": system}] if system else []
            for n, prompt in enumerate(prompts):
                messages.append({"role": "user", "content": prompt})
                text = server.ask("POST", "/apply-template", {"messages": messages})["prompt"]
                ids = server.ask("POST", "/tokenize", {"content": text, "add_special": True, "parse_special": True})[
                    "tokens"
                ]
                plan = planned(engine, system, prompts, replies[:n])
                assert (plan.text, list(plan.ids)) == (text, ids)
                messages += [{"role": "assistant", "content": reply} for reply in replies[n : n + 1]]
    finally:
        server.close()
