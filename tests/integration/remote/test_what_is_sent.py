"""The table of docs/remote.md, held against what a worker sends to a server of each kind."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nightjar.jobs.identity import turn_seed
from nightjar.jobs.remote_models import Dialect
from tests.fake_endpoint import MODEL_AT_FAKE, fake_endpoint
from tests.integration.remote.conftest import register
from tests.integration.remote.test_remote_worker import begin, replies, turns, work
from tests.shell import PROJECT
from tests.workbench import Bench

SCHEMA = {"type": "object", "properties": {"animal": {"type": "string"}}, "required": ["animal"]}
SET: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.7,
    "frequency_penalty": 0.25,
    "presence_penalty": 0.5,
    "stop": ["END"],
    "max_tokens": 21,
    "json_schema": SCHEMA,
    "top_k": 7,
    "min_p": 0.125,
    "repeat_penalty": 1.25,
    "typical_p": 0.75,
    "repeat_last_n": 32,
    "xtc_probability": 0.5,
    "xtc_threshold": 0.25,
    "dry_multiplier": 0.5,
    "dry_base": 1.5,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 128,
    "dry_sequence_breakers": ["|"],
    "template": {"enable_thinking": False},
}
"""Every parameter of the table, none as it is by default."""
NAMED = {"penalties": ("frequency_penalty", "presence_penalty"), "JSON Schema": ("json_schema",)} | {
    "template variables": ("template",),
    "xtc": ("xtc_probability", "xtc_threshold"),
    "dry": tuple(name for name in SET if name.startswith("dry_")),
}
"""What the table says in a word."""
CALLED = {
    (Dialect.OPENAI, "max_tokens"): "max_completion_tokens",
    (Dialect.VLLM, "repeat_penalty"): "repetition_penalty",
    **{(dialect, "template"): "chat_template_kwargs" for dialect in Dialect},
    **{(dialect, "json_schema"): "response_format" for dialect in Dialect},
}
"""Parameters that servers know under another name."""
SEED = "seed"


def table() -> dict[Dialect, set[str]]:
    """Dialect -> the parameters that the page says it is given."""
    page = (PROJECT / "docs/remote.md").read_text("utf-8")
    head, _, *rows = [line.strip("|").split("|") for line in re.findall(r"^\|.*\|$", page, re.MULTILINE)][:9]
    given: dict[Dialect, set[str]] = {Dialect(cell.strip()): set() for cell in head[1:]}
    for words, *cells in rows:
        names = [name for word in words.split(",") for name in NAMED.get(word.strip(), (word.strip(),))]
        for dialect, cell in zip(given, cells, strict=True):
            assert cell.strip() in ("yes", "-"), words
            given[dialect] |= set(names) if cell.strip() == "yes" else set()
    return given


def test_the_table_has_every_parameter() -> None:
    assert set.union(*table().values()) == {*SET, SEED}
    assert table().keys() == set(Dialect)


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_server_is_sent_what_the_page_says_under_its_own_names(bench: Bench, dialect: Dialect) -> None:
    """The fake reads no more than a server of its kind does; what is set and not sent is noted in the turn."""
    with fake_endpoint(dialect=dialect) as fake:
        register(bench, fake)
        run = await begin(bench, sequences=1, turns=1, parameters=SET)
        assert await work(bench) == 0
    [body] = fake.bodies
    assert fake.unread == set()
    given = table()[dialect]
    [turn] = await turns(run)
    expected = {CALLED.get((dialect, name), name): SET[name] for name in given - {"json_schema", SEED}}
    strict = {"strict": False} if dialect is Dialect.OPENAI else {}
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, **strict}}
    always = {"model": MODEL_AT_FAKE, "stream": True, "stream_options": {"include_usage": True}}
    seed = {SEED: turn.draw.seed} if SEED in given else {}
    messages = [{"role": "user", "content": turn.prompt}]
    assert body == {**expected, **always, **seed, "messages": messages, "response_format": form}
    [job] = await replies(run)
    assert turn.draw.seed == turn_seed(run.seed, job.sequence_digest, job.repeat, 0)
    assert turn.draw.remote is not None
    assert set(turn.draw.remote.unsent) == set(SET) - given
