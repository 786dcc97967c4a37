"""Requests that echo their prompt or give token ids, as tasks, and the answer's form."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.identity import MOST_SEED
from nightjar.web.openai.fields import COMPLETION
from nightjar.web.openai.given_texts import GivenShape, completion_tasks, is_given_text
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.openai.schema import CompletionRequest, read_request


def request(**fields: Any) -> CompletionRequest:
    return read_request(fields, COMPLETION, CompletionRequest)[0]


@pytest.mark.parametrize(
    ("fields", "prompts", "tokens"),
    [
        ({"prompt": "a", "echo": True, "max_tokens": 0}, [{"text": "a"}], 0),
        ({"prompt": [1, 2], "max_tokens": 3}, [{"ids": [1, 2]}], 3),
        ({"prompt": [[1, 2], [3]], "echo": True}, [{"ids": [1, 2]}, {"ids": [3]}], 16),
        ({"prompt": ["a", [3]], "n": 2}, [{"text": "a"}] * 2 + [{"ids": [3]}] * 2, 16),
        ({"prompt": "a", "echo": True, "n_predict": 4}, [{"text": "a"}], 4),
    ],
)
def test_prompts_become_tasks(fields: dict[str, Any], prompts: list[dict[str, Any]], tokens: int) -> None:
    asked = request(**fields, logprobs=2, temperature=0, seed=MOST_SEED)
    assert is_given_text(asked)
    tasks = completion_tasks(asked, "m", "ada", 16)
    for task, prompt in zip(tasks, prompts, strict=True):
        assert {name: task.given[name] for name in task.given if name in ("text", "ids")} == prompt
        assert (task.given["max_tokens"], task.given["likely"]) == (tokens, 2)
        assert task.given["parameters"] == {"temperature": 0}
    assert [task.given["seed"] for task in tasks[: asked.n]] == [MOST_SEED, 0][: asked.n]


def test_a_text_by_itself_is_a_conversation_as_ever() -> None:
    assert not is_given_text(request(prompt=["a", "b"], echo=False))


def test_a_stream_is_refused() -> None:
    with pytest.raises(RefusedFieldError, match="whole answer") as refused:
        completion_tasks(request(prompt=[1], stream=True), "m", "ada", 16)
    assert refused.value.param == "stream"


def test_the_answer() -> None:
    """Prompt and reply are one text, and one list of tokens; of tokens with one text the likeliest counts."""
    half, third = -0.7, -1.1
    result = {
        "text": "ab",
        "prompt_tokens": 2,
        "reply": "c",
        "reply_tokens": 1,
        "finish_reason": "context",
        "stop_string": None,
        "echoed": [["a", None, []], ["b", half, [["b", half], ["\ufffd", third], ["\ufffd", -3.0]]]],
        "chances": [["c", third, [["d", half]]]],
    }
    shape = GivenShape(id="x", created=1, model="m", likely=3)
    answer = shape.completion([result, result], choices=2)
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert answer["choices"][1] == {
        "index": 1,
        "text": "abc",
        "logprobs": {
            "tokens": ["a", "b", "c"],
            "token_logprobs": [None, half, third],
            "top_logprobs": [None, {"b": half, "\ufffd": third}, {"d": half}],
            "text_offset": [0, 1, 2],
        },
        "finish_reason": "length",
        "stop_reason": None,
    }
