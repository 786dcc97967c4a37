"""Which requests are the same, and which may be given an earlier reply."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.live.reply_key import CacheMode, reply_key
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.workers.engine.fake import scripted_facts

ASK = LiveAsk(user="ada", model="scripted", messages=[{"role": "user", "content": "Hello"}], seed=7)
FACTS = scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64)


def key(ask: LiveAsk = ASK, facts: ModelFacts = FACTS, mode: CacheMode = CacheMode.DETERMINISTIC) -> str | None:
    return reply_key(ask, facts, mode)


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "bob"},  # nobody is given another's
        {"seed": 8},
        {"messages": [{"role": "user", "content": "Hello!"}]},
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]},
        {"messages": (), "text": "Hello"},  # without the template it is another prompt
        {"parameters": {"max_tokens": 5}},
        {"parameters": {"json_schema": {"type": "object"}}},
        {"parameters": {"template": {"enable_thinking": True}}},
        {"parameters": {"top_logprobs": 1}},
    ],
)
def test_what_makes_another_request(changes: dict[str, Any]) -> None:
    assert key(replace(ASK, **changes)) != key()


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "1" * 64},  # another file, or another endpoint
        {"template_digest": "2" * 64},
        {"sampling_defaults": {"top_k": 3}},
        {"registry_parameters": {"temperature": 0.1}},
    ],
)
def test_what_makes_another_model(changes: dict[str, Any]) -> None:
    assert key(facts=FACTS.model_copy(update=changes)) != key()


def test_a_parameter_that_is_the_models_own_anyway_makes_no_other_request() -> None:
    cool = FACTS.model_copy(update={"registry_parameters": {"temperature": 0.1}})
    assert key(replace(ASK, parameters={"temperature": 0.1}), cool) == key(facts=cool) is not None


ANY = replace(ASK, seed=None)
GREEDY = {"temperature": 0}


@pytest.mark.parametrize(
    ("ask", "mode", "looked_up"),
    [
        (ASK, CacheMode.OFF, False),
        (ASK, CacheMode.DETERMINISTIC, True),
        (ANY, CacheMode.DETERMINISTIC, False),  # another reply may come each time, and is wanted
        (ANY, CacheMode.ALL, True),
        (replace(ANY, parameters=GREEDY), CacheMode.DETERMINISTIC, True),
        (replace(ASK, store=False), CacheMode.ALL, False),
        (replace(ASK, parameters={"memory": "notes"}), CacheMode.ALL, False),  # what it remembers changes
    ],
)
def test_what_is_looked_up(ask: LiveAsk, mode: CacheMode, looked_up: bool) -> None:
    assert (key(ask, mode=mode) is not None) is looked_up


def test_a_model_that_is_greedy_by_itself() -> None:
    assert key(ANY, FACTS.model_copy(update={"registry_parameters": GREEDY})) is not None


def test_equal_choices_are_apart() -> None:
    assert reply_key(ASK, FACTS, CacheMode.ALL, 1) != key()
