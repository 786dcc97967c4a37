"""A text given by somebody, as a task's result: its tokens' likelihoods, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import ContextError, ParameterError
from nightjar.jobs.parameters import Parameters
from nightjar.workers.conversation import given_text
from nightjar.workers.conversation.given_text import GivenText, complete_given, given_parameters
from nightjar.workers.engine.fake import BOS, VOCABULARY, ScriptedEngine
from nightjar.workers.engine.fake_scores import scripted_row
from nightjar.workers.engine.score_rows import row_values

TEXT = "The fox"
IDS = tuple(TEXT.encode())


def given(**changes: Any) -> GivenText:
    usual: dict[str, Any] = {
        "id": "g",
        "text": TEXT,
        "ids": IDS,
        "echo": True,
        "likely": 2,
        "max_tokens": 0,
        "seed": 1,
        "parameters": Parameters(temperature=0, top_logprobs=2),
    }
    return GivenText(**usual | changes)


async def test_each_token_has_what_the_ones_before_it_say() -> None:
    async with ScriptedEngine() as engine:
        result = await complete_given(given(), engine)
        assert (result["text"], result["reply"], result["reply_tokens"]) == (TEXT, "", 0)
        first, *others = result["echoed"]
        assert first == ["T", None, []]
        assert [text for text, *_ in others] == list(TEXT[1:])
        for at, (_, logprob, likely) in enumerate(others, start=1):
            [value] = row_values(scripted_row(IDS[:at], VOCABULARY), [IDS[at]], 2)
            assert logprob == value.logprob
            assert [chance for _, chance in likely] == [chance for _, chance in value.likeliest]
        assert result["chances"] == []


async def test_one_greedy_token_is_known_from_the_last_row() -> None:
    """What evaluation harnesses ask for takes no second pass over the text; anything else is generated."""
    async with ScriptedEngine(lambda *_: "red") as engine:
        [value] = row_values(scripted_row(IDS, VOCABULARY), [0], 1)
        likeliest, logprob = value.likeliest[0]
        one = await complete_given(given(max_tokens=1), engine)
        assert engine.backend.decodes == 0
        assert one["reply"] == engine.tokenizer.detokenize([likeliest])
        assert one["chances"][0][1] == logprob
        assert len(one["echoed"]) == len(IDS)
        for changes in ({"max_tokens": 3}, {"max_tokens": 1, "parameters": Parameters(temperature=0.5)}):
            said = await complete_given(given(**changes), engine)
            assert "red".startswith(said["reply"])
            assert said["reply_tokens"] == changes["max_tokens"]


async def test_a_reply_alone_is_only_generated() -> None:
    async with ScriptedEngine(lambda *_: "red") as engine:
        said = await complete_given(given(echo=False, max_tokens=9, likely=None, parameters=Parameters()), engine)
        assert (said["text"], said["reply"], said["finish_reason"]) == ("", "red", "stop")
        assert "echoed" not in said
        assert engine.backend.score_devices == []


async def test_a_text_of_one_token_has_nothing_to_follow() -> None:
    async with ScriptedEngine() as engine:
        assert (await complete_given(given(ids=(BOS,)), engine))["echoed"] == [["", None, []]]
        one = await complete_given(given(ids=(BOS,), max_tokens=1), engine)
        assert len(one["chances"]) == 1


async def test_what_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that fills the context may be scored, and not gone on with."""
    async with ScriptedEngine(context=64) as engine:
        full = (65,) * 64
        assert len((await complete_given(given(ids=full), engine))["echoed"]) == 64
        with pytest.raises(ContextError) as refused:
            await complete_given(given(ids=full, max_tokens=1), engine)
        assert (refused.value.tokens, refused.value.context) == (65, 64)
        with pytest.raises(ParameterError, match="empty"):
            await complete_given(given(ids=()), engine)
        monkeypatch.setattr(given_text, "MOST_VALUES", 64 * 3 - 1)
        with pytest.raises(ParameterError, match=r"192 log-probabilities .*`logprobs`"):
            await complete_given(given(ids=full), engine)


def test_parameters_come_from_the_file_the_registry_and_the_request() -> None:
    parameters = given_parameters({"top_p": 0.5}, {"top_p": 0.4, "top_k": 7}, {"min_p": 0.2}, likely=3)
    assert (parameters.top_p, parameters.top_k, parameters.min_p, parameters.top_logprobs) == (0.5, 7, 0.2, 3)
    assert given_parameters({}, {}, {}, likely=None).top_logprobs == 0
