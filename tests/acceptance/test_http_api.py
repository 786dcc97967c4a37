"""OpenAI's protocol as its own client speaks it: `nightjar serve`, a real worker and the demo model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.home import Home, eventually

WITHIN_S = 120.0
MODEL = "nightjar-demo"
STORY: Any = [{"role": "user", "content": "Tell me a story about a fox."}]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A home with a server and a worker."""

    home: Home
    url: str
    token: str

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.token, max_retries=0, timeout=WITHIN_S)

    def http(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=WITHIN_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = Home(folder=tmp_path_factory.mktemp("api"))
    try:
        home.ok("services", "up")
        home.start("worker", "worker", "--model", MODEL, "--gpu", "none", "--slots", "4", "--live", "3")
        home.start("serve", "serve", "--port", "0", "--workers", "none")
        said = eventually(
            lambda: re.search(r"is at http://\S+?:(\d+)/", home.said("serve")), WITHIN_S, lambda: home.said("serve")
        )
        eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("worker"))
        token = (home.path / "web" / "token").read_text().strip()
        yield Served(home=home, url=f"http://127.0.0.1:{said[1]}", token=token)
    finally:
        home.close()


def test_models(served: Served) -> None:
    assert MODEL in [model.id for model in served.client.models.list()]
    assert served.client.models.retrieve(MODEL).owned_by == "nightjar"


def test_the_same_seed_gives_the_same_reply_whole_and_streamed(served: Served) -> None:
    """A stream has the text in pieces, its usage at the end, and log-probabilities of every visible token."""
    asked: Any = {"model": MODEL, "messages": STORY, "seed": 5, "max_tokens": 24, "logprobs": True, "top_logprobs": 2}
    whole = served.client.chat.completions.create(**asked)
    choice = whole.choices[0]
    assert choice.message.content
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 24
    assert choice.finish_reason == "length"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert len(choice.logprobs.content) == 24
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in choice.logprobs.content)
    chunks = list(served.client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) > 1
    assert "".join(texts) == choice.message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 24
    ended = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert [chunk.choices[0].finish_reason for chunk in ended] == ["length"]
    streamed = ended[0].choices[0].logprobs
    assert streamed is not None
    assert [token.token for token in streamed.content or ()] == [token.token for token in choice.logprobs.content]


def test_a_reply_is_held_to_a_schema(served: Served) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema, "strict": True}}
    reply = served.client.chat.completions.create(model=MODEL, messages=STORY, response_format=form)
    assert json.loads(reply.choices[0].message.content or "")["colour"] in ("red", "blue")


def test_choices_are_jobs_with_seeds_that_follow_each_other(served: Served) -> None:
    """Choice 1 of seed 5 is choice 0 of seed 6; where no model is named, the address names it."""
    asked = {"messages": STORY, "max_tokens": 12, "user": "x"}
    with served.http() as http:
        two = http.post(f"/m/{MODEL}/v1/chat/completions", json={**asked, "seed": 5, "n": 2})
        six = http.post(f"/m/{MODEL}/v1/chat/completions", json={**asked, "seed": 6})
    assert two.headers["nightjar-without-effect"] == "user"
    assert [told["seed"] for told in two.json()["nightjar"]] == [5, 6]
    assert two.json()["choices"][1]["message"] == six.json()["choices"][0]["message"]
    assert two.json()["usage"]["completion_tokens"] == 24


def test_a_system_prompt_and_a_stop_string_reach_the_model(served: Served) -> None:
    messages: Any = [{"role": "system", "content": "You are brief."}, *STORY]
    asked: Any = {"model": MODEL, "messages": messages, "seed": 1, "max_tokens": 60, "extra_body": {"top_k": 1}}
    whole = served.client.chat.completions.create(**asked).choices[0].message.content or ""
    word = whole.split()[2]
    stopped = served.client.chat.completions.create(**asked, stop=[word]).choices[0]
    assert stopped.finish_reason == "stop"
    assert stopped.message.content == whole[: whole.index(word)]


def test_a_closed_connection_cancels_the_job(served: Served) -> None:
    stream = served.client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=4000, stream=True)
    first = next(iter(stream))
    stream.close()
    job = first.id.removeprefix("chatcmpl-")
    eventually(lambda: served.home.find("jobs", _id=job, status="CANCELLED"), WITHIN_S)


def test_errors_of_requests(served: Served) -> None:
    client = served.client
    with pytest.raises(openai.NotFoundError, match=MODEL) as unknown:
        client.chat.completions.create(model="nightjar-dem", messages=STORY)
    assert unknown.value.code == "model_not_found"
    function: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError) as tools:
        client.chat.completions.create(model=MODEL, messages=STORY, tools=[function])
    assert (tools.value.code, tools.value.param) == ("not_yet_supported", "tools")
    with pytest.raises(openai.BadRequestError) as large:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "fox " * 20_000}])
    assert large.value.code == "context_length_exceeded"
    assert isinstance(large.value.body, dict)
    assert large.value.body["tokens"] > large.value.body["context"] > 0
    with pytest.raises(openai.BadRequestError, match="top_p"):
        client.chat.completions.create(model=MODEL, messages=STORY, top_p=3)
    with pytest.raises(openai.AuthenticationError) as stranger:
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="nj_x", max_retries=0).models.list()
    assert stranger.value.code == "invalid_api_key"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 1}', b"\xff", b'{"model": "x", "messages": []}'])
def test_bodies_that_are_no_requests(served: Served, body: bytes) -> None:
    with served.http() as http:
        answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["message"]


def test_a_server_that_ends_tells_its_streams(served: Served, tmp_path: Path) -> None:
    """In the protocol's shape, within seconds, whatever streams."""
    home = served.home
    home.start("second", "serve", "--port", "0", "--workers", "none")
    said = eventually(lambda: re.search(r"is at http://\S+?:(\d+)/", home.said("second")), WITHIN_S)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{said[1]}/v1", api_key=served.token, max_retries=0)
    stream = client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=4000, stream=True)
    heard = iter(stream)
    next(heard)
    home.running["second"].terminate()
    with pytest.raises(openai.APIError, match="server is ending"):
        list(heard)
    assert home.running["second"].wait(WITHIN_S) == 0
