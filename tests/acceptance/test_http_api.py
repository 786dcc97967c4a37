"""OpenAI's protocol as its own client speaks it: `nightjar serve`, a real worker and the demo model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.encoder_files import write_bert
from tests.home import Home, eventually
from tests.made_up_requests import documented_operations, make_up_requests
from tests.plain_scores import PlainScorer

WITHIN_S = 120.0
EXAMPLES = 3
"""Of each route that the document names."""
MODEL = "nightjar-demo"
DEMO = Path(__file__).parents[2] / "config/models/nightjar-demo.gguf"
ENDLESS = {"json_schema": {"type": "string", "minLength": 4000}, "max_tokens": 1900}
"""Goes on for a thousand tokens, whatever the model would like."""
STORY: Any = [{"role": "user", "content": "Tell me a story about a fox."}]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A home with a server and a worker."""

    home: Home
    url: str
    token: str
    client: openai.OpenAI

    def http(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=WITHIN_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = Home(folder=tmp_path_factory.mktemp("api"))
    try:
        home.ok("services", "up")
        home.start("worker", "worker", "--model", MODEL, "--gpu", "none", "--slots", "4", "--live", "3")
        bert = str(write_bert(home.folder / "bert.gguf"))
        home.start("embedder", "worker", "--model", bert, "--gpu", "none", "--slots", "2")
        home.start("serve", "serve", "--port", "0", "--workers", "none")
        said = eventually(
            lambda: re.search(r"is at http://\S+?:(\d+)/", home.said("serve")), WITHIN_S, lambda: home.said("serve")
        )
        ready = lambda: len(home.find("workers", state="ready")) == 2  # noqa: E731
        eventually(ready, WITHIN_S, lambda: home.said("worker") + home.said("embedder"))
        token = (home.path / "web" / "token").read_text().strip()
        url = f"http://127.0.0.1:{said[1]}"
        with openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=WITHIN_S) as client:
            yield Served(home=home, url=url, token=token, client=client)
    finally:
        home.close()
        home.run("services", "down")  # a command that was under way may have started them again


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
    asked |= {"stream": True, "stream_options": {"include_usage": True}, "extra_headers": {"nightjar-cache": "off"}}
    chunks = list(served.client.chat.completions.create(**asked))
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


def test_the_same_request_is_answered_from_the_cache(served: Served) -> None:
    """Whole, streamed and by `/generate`; counted in `/stats`."""
    asked: Any = {"model": MODEL, "messages": STORY, "seed": 4711, "max_tokens": 16}
    prompt: Any = {"prompt": "Tell me of an owl.", "max_tokens": 8, "temperature": 0}
    with served.http() as http:
        before = http.get("/stats").json()
        first = http.post("/v1/chat/completions", json=asked)
        again = http.post("/v1/chat/completions", json=asked)
        streamed = http.post("/v1/chat/completions", json=asked | {"stream": True})
        generated = [http.post("/generate", json=prompt) for _ in range(2)]
        wrong = http.post("/generate", json=prompt, headers={"nightjar-cache": "yes"})
        after = http.get("/stats").json()
    answers = (first, again, streamed, *generated)
    assert [answer.headers["nightjar-cache"] for answer in answers] == ["miss", "hit", "hit", "miss", "hit"]
    assert first.json()["choices"] == again.json()["choices"]
    assert "cached" not in first.json()["nightjar"][0]
    assert again.json()["nightjar"][0]["cached"] is True
    chunks = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == first.json()["choices"][0]["message"]["content"]
    assert generated[0].json()["text"] == generated[1].json()["text"]
    assert wrong.status_code == 400
    assert "nightjar-cache" in wrong.text
    assert after["total_requests"] - before["total_requests"] == 5
    computed = first.json()["usage"]["completion_tokens"] + generated[0].json()["tokens_generated"]
    assert after["total_tokens_generated"] - before["total_tokens_generated"] == computed
    assert 0 < after["hit_rate"] < 1
    assert after["cache_saved_usd"] is None  # no price is known


def test_a_closed_connection_cancels_the_job(served: Served) -> None:
    stream = served.client.chat.completions.create(model=MODEL, messages=STORY, stream=True, extra_body=ENDLESS)
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
        client.models.list(extra_headers={"authorization": "Bearer nj_x"})
    assert stranger.value.code == "invalid_api_key"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 1}', b"\xff", b'{"model": "x", "messages": []}'])
def test_bodies_that_are_no_requests(served: Served, body: bytes) -> None:
    with served.http() as http:
        answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["message"]


def test_a_text_is_gone_on_with(served: Served) -> None:
    """Several prompts at once, each a choice; without a template; log-probabilities in this protocol's form."""
    asked: Any = {"model": MODEL, "seed": 4, "max_tokens": 8, "logprobs": 2}
    both = served.client.completions.create(prompt=["Once upon", "The fox"], **asked)
    one = served.client.completions.create(prompt="The fox", **asked)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[1].text == one.choices[0].text
    logprobs = one.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or ()) == one.choices[0].text
    assert all(len(likely) == 2 for likely in logprobs.top_logprobs or [{}])
    stream = served.client.completions.create(prompt="The fox", stream=True, **asked)
    assert "".join(chunk.choices[0].text for chunk in stream) == one.choices[0].text


def test_a_text_is_echoed_with_its_tokens_likelihoods(served: Served) -> None:
    """As text or as ids, with and without a reply: the numbers of a plain loop over llama.cpp in the same shape."""
    client, text = served.client, "Once upon a time there was a fox called Dora."
    with served.http() as http:
        ids = http.post("/tokenize", json={"model": MODEL, "prompt": text}).json()["tokens"]
    with closing(PlainScorer(DEMO)) as plain:
        expected = plain.echo(tuple(ids))
    asked: Any = {"model": MODEL, "echo": True, "logprobs": 3, "temperature": 0}
    for prompt in (text, ids):
        whole = client.completions.create(prompt=prompt, max_tokens=0, **asked)
        choice, logprobs = whole.choices[0], whole.choices[0].logprobs
        assert (choice.text, choice.finish_reason) == (text, "length")
        assert logprobs is not None
        assert "".join(logprobs.tokens or ()) == text
        assert logprobs.token_logprobs is not None
        assert logprobs.token_logprobs[0] is None, "nothing stands before the first"
        assert logprobs.token_logprobs[1:] == pytest.approx(expected.logprobs, abs=1e-3)
        assert logprobs.top_logprobs is not None
        assert all(0 < len(likely) <= 3 for likely in logprobs.top_logprobs[1:])
        assert whole.usage is not None
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (len(ids), 0)
    one = client.completions.create(prompt=ids, max_tokens=1, **asked).choices[0]
    more: Any = client.completions.create(prompt=[ids, text], max_tokens=6, n=2, **asked).choices
    bare = client.completions.create(prompt=text, max_tokens=6, model=MODEL, temperature=0).choices[0]
    assert [choice.text for choice in more] == [text + bare.text] * 4
    assert len(one.text) > len(text)
    assert more[0].text.startswith(one.text)
    assert len(more[0].logprobs.tokens) == len(ids) + 6
    assert client.completions.create(prompt=ids, max_tokens=6, model=MODEL, temperature=0).choices[0].text == bare.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": [1, 10**6], "echo": True}, "no token id"),  # another vocabulary's
        ({"prompt": [-1], "echo": True}, "no token id"),
        ({"prompt": [], "echo": True}, "prompt"),
        ({"prompt": [[]], "echo": True}, "prompt"),
        ({"prompt": [[1], [2.5]], "echo": True}, "prompt"),
        ({"prompt": "", "echo": True}, "empty"),
        ({"prompt": "The fox", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "The fox", "echo": True, "stream": True}, "stream"),
        ({"prompt": "The fox", "echo": True, "logprobs": 6}, "logprobs"),
        ({"prompt": [5] * 20_000, "echo": True}, "context"),
        ({"prompt": "The fox", "echo": True, "model": "bert"}, "embedding model"),
    ],
)
def test_what_cannot_be_echoed_is_refused(served: Served, fields: dict[str, Any], words: str) -> None:
    asked: Any = {"model": MODEL, "logprobs": 1} | fields
    with pytest.raises(openai.BadRequestError, match=words):
        served.client.completions.create(**asked)


HARNESS = """
import json, os, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
url, folder = sys.argv[1:]
arguments = {"base_url": url, "model": MODEL, "tokenizer_backend": "remote"}
arguments["auth_token"] = os.environ["OPENAI_API_KEY"]
tasks = TaskManager(include_path=folder, include_defaults=False)
done = simple_evaluate(model="local-completions", model_args=arguments, tasks=["endings"], task_manager=tasks)
rows = [[sample["arguments"], sample["resps"], sample["acc"]] for sample in done["samples"]["endings"]]
print("ROWS " + json.dumps([rows, done["results"]["endings"]["acc,none"]]))
"""
ENDINGS = """
task: endings
dataset_path: json
dataset_kwargs: { data_files: { test: ROWS } }
test_split: test
output_type: multiple_choice
doc_to_text: "{{before}}"
doc_to_choice: "{{endings}}"
doc_to_target: gold
metric_list: [{ metric: acc, aggregation: mean, higher_is_better: true }]
"""
ITEMS = (
    ("The fox Dora lives on a", ("hill", "river near the old mill.", "zzz"), 0),
    ("Once upon a time", ("there was a fox.", "fox a was there."), 0),
    ("Dora has three", ("cubs", "qqq"), 1),
)


def test_lm_eval_evaluates_a_task_of_ours_item_by_item(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its evaluator, with the server's tokenizer and a task of a YAML file and rows beside it: every answer is the one
    that a plain loop over llama.cpp has, and so is the score.
    """
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    rows, folder = tmp_path / "rows.jsonl", tmp_path / "tasks"
    folder.mkdir()
    keys = ("before", "endings", "gold")
    rows.write_text("".join(json.dumps(dict(zip(keys, item, strict=True))) + "\n" for item in ITEMS))
    (folder / "endings.yaml").write_text(ENDINGS.replace("ROWS", str(rows)))
    alone = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", HARNESS.replace("MODEL", repr(MODEL)), f"{served.url}/v1/completions", str(folder)],
        cwd=tmp_path,
        env={**os.environ, **alone, "OPENAI_API_KEY": served.token},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    got, score = json.loads(done.stdout.rpartition("ROWS ")[2])
    monkeypatch.setenv("OPENAI_API_KEY", served.token)
    model = LocalCompletionsAPI(
        base_url=f"{served.url}/v1/completions", model=MODEL, tokenizer_backend="remote", auth_token=served.token
    )
    assert len(got) == len(ITEMS)
    with closing(PlainScorer(DEMO)) as plain:
        for (before, endings, gold), (arguments, answers, right) in zip(ITEMS, got, strict=True):
            assert [tuple(each) for each in arguments] == [(before, f" {ending}") for ending in endings]
            sums = []
            for (context, ending), [answer] in zip(arguments, answers, strict=True):
                own, rest = model._encode_pair(context, ending)
                expected = plain.echo((*own, *rest))
                sums.append(sum(expected.logprobs[len(own) - 1 :]))
                assert float(answer[0]) == pytest.approx(sums[-1], abs=1e-3)
                assert str(answer[1]) == str(all(expected.greedy[len(own) - 1 :]))
            assert right == (sums.index(max(sums)) == gold)
    assert score == pytest.approx(sum(right for *_, right in got) / len(got))


def test_embeddings(served: Served) -> None:
    """The same vector alone, in a batch, as numbers and as base64; a generating model has none."""
    texts = ["the fox ran", "the hen sat"]
    packed = served.client.embeddings.create(model="bert", input=texts)
    alone = served.client.embeddings.create(model="bert", input=texts[1], encoding_format="float")
    vectors = [entry.embedding for entry in packed.data]
    assert vectors[1] == pytest.approx(alone.data[0].embedding, abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
    assert sum(value * value for value in vectors[0]) == pytest.approx(1, abs=1e-4)
    assert (packed.usage.prompt_tokens, alone.usage.prompt_tokens) == (10, 5)  # with [CLS] and [SEP]
    with pytest.raises(openai.BadRequestError, match="embedding model"):
        served.client.embeddings.create(model=MODEL, input="the fox")
    with pytest.raises(openai.BadRequestError, match="cannot write a reply"):
        served.client.chat.completions.create(model="bert", messages=STORY)


def test_the_tokenizer_answers_as_evaluation_harnesses_ask_it(served: Served) -> None:
    """Ids of a text and back; control tokens are themselves; the prompt of a conversation has their number."""
    with served.http() as http:
        info = http.get("/tokenizer_info").json()
        text = "The fox ran. \N{FOX FACE}"
        ids = http.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()
        assert http.post(f"/m/{MODEL}/detokenize", json={"tokens": ids["tokens"]}).json() == {"prompt": text}
        assert (ids["count"], ids["max_model_len"]) == (len(ids["tokens"]), info["model_max_length"])
        end = http.post("/tokenize", json={"prompt": info["eos_token"], "add_special_tokens": False}).json()
        assert end["count"] == 1
        prompt = http.post("/apply-template", json={"messages": STORY, "model": MODEL}).json()["prompt"]
        assert STORY[0]["content"] in prompt
        counted = http.post("/tokenize", json={"messages": STORY}).json()["count"]
        asked = {"model": MODEL, "messages": STORY, "max_tokens": 1}
        assert http.post("/v1/chat/completions", json=asked).json()["usage"]["prompt_tokens"] == counted
        assert http.post("/detokenize", json={"tokens": [10**6]}).status_code == 400


def test_the_service_before_is_spoken_to_as_ever(served: Served) -> None:
    """Its bodies, without a model: the only one that is loaded. Limits are kept; arguments match their schema."""
    context = "The fox Dora lives on a hill near the river. She has three cubs. " * 20
    city = {"name": "f", "parameters": {"properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}}
    with served.http() as http:
        text = http.post("/generate", json={"prompt": "Tell me of a fox.", "max_tokens": 12}).json()
        assert text["text"]
        assert (text["model"], text["tokens_generated"]) == (MODEL, 12)
        for path, limit, name in (
            ("/summarize", "max_summary_tokens", "summary"),
            ("/compress", "max_tokens", "compressed"),
        ):
            short = http.post(path, json={"context": context, limit: 20}).json()
            assert short["tokens_generated"] <= 20
            assert isinstance(short[name], str)
        found = http.post("/extract-parameters", json={"user_message": "Rome", "function_schema": city}).json()
        assert found["parameters"]["city"] in ("Oslo", "Rome")
        stats = http.get("/stats").json()
        assert stats["total_tokens_generated"] > 12
        assert stats["avg_latency_ms"] > 0
        assert stats["cost_savings_usd"] is None  # unknown is not zero
        told = http.get("/health").json()["models"]
        assert [(model["model"], model["gpu_layers"]) for model in told if model["model"] == MODEL] == [(MODEL, 0)]
        assert httpx.get(f"{served.url}/health").json() == {"status": "ok"}
        refused = http.post("/generate", json={"prompt": "x", "max_token": 1})
        assert (refused.status_code, refused.json()["error"]["message"][:9]) == (400, "max_token")


def test_metrics(served: Served) -> None:
    """Prometheus reads them; a token for generation is none for them."""
    served.client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=4)
    with served.http() as http:
        assert http.get("/metrics").status_code == 403
    token = served.home.ok("token", "add", "prometheus", "--scope", "metrics").split()
    secret = next(word for word in token if word.startswith("nj_"))
    with served.http(secret) as http:
        families = {family.name: family for family in text_string_to_metric_families(http.get("/metrics").text)}
    tokens = {tuple(sample.labels.values()): sample.value for sample in families["nightjar_generation_tokens"].samples}
    assert tokens[MODEL,] >= 4
    assert families["nightjar_time_to_first_token_seconds"].type == "histogram"
    slots = {sample.labels["model_name"]: sample.value for sample in families["nightjar_worker_slots"].samples}
    assert slots == {MODEL: 4, "bert": 2}
    assert families["nightjar_gpu_energy_joules"].samples == []  # there is no GPU: missing is not zero
    assert families["nightjar_disk_free_bytes"].samples[0].value > 0


def test_made_up_requests_get_what_the_openapi_document_says(served: Served) -> None:
    """Never a fault of ours, whatever they say; no status and no type that it does not name."""
    operations = documented_operations(served.url)
    assert {"/v1/chat/completions", "/v1/embeddings", "/tokenize", "/generate", "/metrics"} <= {
        operation.path for operation in operations
    }
    make_up_requests(operations, served.token, EXAMPLES)


@contextmanager
def another_server(home: Home, **settings: str) -> Iterator[str]:
    """The address of a second server of the home, which is told to end."""
    environment = {f"NIGHTJAR_LIVE__{name.upper()}": value for name, value in settings.items()}
    home.start("second", "serve", "--port", "0", "--workers", "none", env=environment)
    try:
        said = eventually(lambda: re.search(r"is at http://\S+?:(\d+)/", home.said("second")), WITHIN_S)
        yield f"http://127.0.0.1:{said[1]}/v1"
    finally:
        home.running["second"].terminate()
        assert home.running["second"].wait(WITHIN_S) == 0


def test_what_cannot_be_served_is_told_in_the_protocols_words(served: Served) -> None:
    """A full queue, a model that nobody loads, in a stream too, and a server that ends while it streams."""
    home, asked = served.home, {"messages": STORY, "model": "elsewhere"}
    [demo] = home.find("models", _id=MODEL)
    home.insert("models", [{**demo, "_id": "elsewhere", "facts": demo["facts"] | {"name": "elsewhere"}}])
    with (
        another_server(home, queue="1", wait_s="4") as url,
        openai.OpenAI(base_url=url, api_key=served.token, max_retries=0, timeout=WITHIN_S) as client,
    ):
        with (
            served.http() as http,
            http.stream("POST", f"{url}/chat/completions", json=asked | {"stream": True}) as lines,
        ):
            waited = [line for line in lines.iter_lines() if line]
        assert waited[0].startswith("data: ")
        assert waited[1] == ": waiting"
        assert json.loads(waited[-1].removeprefix("data: "))["error"]["code"] == "model_not_loaded"
        with pytest.raises(openai.InternalServerError) as absent:
            client.chat.completions.create(**asked)
        assert (absent.value.status_code, absent.value.code) == (503, "model_not_loaded")
        assert int(absent.value.response.headers["retry-after"]) > 0
        stream = client.chat.completions.create(model=MODEL, messages=STORY, stream=True, extra_body=ENDLESS)
        heard = iter(stream)
        next(heard)
        with pytest.raises(openai.RateLimitError) as full:
            client.chat.completions.create(model=MODEL, messages=STORY)
        assert (full.value.code, int(full.value.response.headers["retry-after"]) > 0) == ("rate_limit_exceeded", True)
        home.running["second"].terminate()
        with pytest.raises(openai.APIError, match="server is ending"):
            list(heard)


TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

@task
def animals():
    rows = [Sample(id=name, input=f"Tell me a story about a {name}.", target=name) for name in ("fox", "owl", "hare")]
    return Task(dataset=rows, scorer=includes())
"""


def test_inspect_ai_evaluates_over_it(served: Served, tmp_path: Path) -> None:
    """A small task, by its own command: item by item what the `openai` client gets."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    (tmp_path / "animals.py").write_text(TASK)
    options = ["--temperature", "0", "--seed", "3", "--max-tokens", "40", "--display", "plain", "--log-dir", "logs"]
    done = subprocess.run(
        [sys.executable, "-m", "inspect_ai", "eval", "animals.py", "--model", f"openai-api/ours/{MODEL}", *options],
        cwd=tmp_path,
        env={**os.environ, "OURS_API_KEY": served.token, "OURS_BASE_URL": f"{served.url}/v1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_eval_log(list_eval_logs(str(tmp_path / "logs"))[0])
    assert log.status == "success", log.error
    assert log.samples is not None
    assert len(log.samples) == 3
    drawn: Any = {"temperature": 0, "seed": 3, "max_tokens": 40}
    for sample in log.samples:
        asked: Any = [{"role": "user", "content": f"Tell me a story about a {sample.id}."}]
        ours = served.client.chat.completions.create(model=MODEL, messages=asked, **drawn)
        assert sample.output.completion == ours.choices[0].message.content
        assert sample.output.usage is not None
        assert ours.usage is not None
        assert sample.output.usage.output_tokens == ours.usage.completion_tokens
        assert sample.scores is not None
        assert sample.scores["includes"].value in ("C", "I")


def test_open_webuis_way_of_asking(served: Served) -> None:
    """What it sends to a connection: the list of models when one is added, a chat as a stream with usage, and the
    title that it asks for behind the first reply."""
    with served.http() as http:
        models = http.get("/v1/models", headers={"content-type": "application/json"}).json()
        assert MODEL in [model["id"] for model in models["data"]]
        said = [{"role": "system", "content": "Be brief."}, *STORY]
        chat = {"stream": True, "model": MODEL, "messages": said, "stream_options": {"include_usage": True}}
        chat |= {
            "temperature": 0.8,
            "max_tokens": 24,
            "top_p": 0.9,
            "frequency_penalty": 0.1,
            "seed": 1,
            "stop": ["###"],
        }
        answer = http.post("/v1/chat/completions", json=chat)
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        chunks = [json.loads(event) for event in events[:-1]]
        text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        assert text
        assert chunks[-1]["usage"]["completion_tokens"] == 24
        asked = {"role": "user", "content": f"Give this chat a title.\nUSER: {STORY[0]['content']}\nASSISTANT: {text}"}
        title = {"model": MODEL, "messages": [asked], "stream": False, "max_completion_tokens": 20}
        named = http.post("/v1/chat/completions", json={**title, "metadata": {"task": "title_generation"}})
        assert named.status_code == 200, named.text
        assert named.json()["choices"][0]["message"]["content"]
