"""Tools of a suite at an endpoint: sent, called, scored; refused before the run for a model that is loaded here."""

from __future__ import annotations

import json

import pytest

from nightjar.config.errors import ModelError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.published import publish_model
from nightjar.jobs.sequences import Expectation, Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.runs.producer import enqueue, plan_run
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.scoring.calls import find_call
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.remote.answers import with_calls
from tests.fake_endpoint import FakeEndpoint
from tests.integration.remote.conftest import register, serve_cloud
from tests.workbench import Bench, until

TOOL = {
    "type": "function",
    "function": {
        "name": "book_flight",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CHECK = Expectation(check="fields", value={"function": "book_flight", "expected": {"city": "Paris"}})


async def begin(bench: Bench, fake: FakeEndpoint, *, tools: bool = True, turns: int = 1) -> Run:
    register(bench, fake)
    sequence = Sequence.model_validate(
        {
            "id": "paris",
            "turns": [{"prompt": f"Turn {n}: to Paris.", "expect": [CHECK.model_dump()]} for n in range(turns)],
            "parameters": {"max_tokens": 20, "min_tokens": 5},
            "tools": [TOOL] if tools else [],
        }
    )
    await import_suite(SuiteContent(name="flights", sequences=(sequence,)), bench.database)
    await publish_model(bench.database, entry_facts(find_model("cloud", bench.settings)), by="test")
    return (await enqueue(make_request(suite="flights", models=("cloud",), name="r"), bench.database)).run


async def worked(bench: Bench, run: Run) -> Job:
    async def is_done() -> bool:
        now = await Run.get(run.id)
        return now is not None and now.status is RunStatus.DONE

    async with bench.dispatching():
        assert await serve_cloud(bench) == 0
        await until(is_done, within_s=60)
    [job] = await Job.find({"run": run.id, "kind": JobKind.REPLY}).to_list()
    return job


@pytest.mark.parametrize(
    ("text", "calls", "said"),
    [
        ("", [("f", '{"a": 1}')], '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        ("Well.", [("f", "{}")], 'Well.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'),
        (
            "",
            [("f", '{"a": ')],
            '<tool_call>\n{"name": "f", "arguments": "{\\"a\\": "}\n</tool_call>',
        ),  # as it was written
        ("Only text.", [], "Only text."),
    ],
)
def test_calls_as_text(text: str, calls: list[tuple[str, str]], said: str) -> None:
    made = [{"id": "c", "type": "function", "function": {"name": name, "arguments": given}} for name, given in calls]
    assert with_calls(text, made) == said
    if calls and calls[0][1].endswith("}"):
        call = find_call(said, "f")
        assert call is not None
        assert call.arguments == json.loads(calls[0][1])


async def test_a_call_is_the_reply_and_is_scored(bench: Bench, fake: FakeEndpoint) -> None:
    """In the second turn the first call is in the conversation, as text: nothing was executed."""
    fake.calls = (("book_flight", '{"city": "Paris"}'),)
    fake.reply = lambda body: ""
    fake.finish_reason = "tool_calls"
    run = await begin(bench, fake, turns=2)
    job = await worked(bench, run)
    assert job.status is JobStatus.DONE, job.reason
    assert [body["tools"] for body in fake.bodies] == [[TOOL], [TOOL]]
    call = '<tool_call>\n{"name": "book_flight", "arguments": {"city": "Paris"}}\n</tool_call>'
    draws = [turn.draw for turn in job.turns]
    assert [draw.reply for draw in draws] == [call, call]
    assert all(draw.empty is None and draw.degenerate is None for draw in draws), "fewer tokens than min_tokens"
    assert draws[0].remote is not None
    assert draws[0].remote.tool_calls[0]["function"]["arguments"] == '{"city": "Paris"}'
    assert fake.bodies[1]["messages"][1] == {"role": "assistant", "content": call}
    report = await collect(run.id, bench.database)
    assert report.models[0].total.metrics["fields"].mean == pytest.approx(1.0)
    entries = await Expense.find({"run": run.id}).to_list()
    assert all(each.reserved.prompt > len(json.dumps(TOOL)) / 4 for each in entries), "tools are paid for, too"


async def test_calls_that_nobody_asked_for_are_kept_and_are_no_reply(bench: Bench, fake: FakeEndpoint) -> None:
    fake.calls = (("search", "{}"),)
    job = await worked(bench, await begin(bench, fake, tools=False))
    assert "tools" not in fake.bodies[0]
    draw = job.turns[0].draw
    assert draw.reply.startswith("Reply to:")
    assert "tool_call" not in draw.reply
    assert draw.remote is not None
    assert draw.remote.tool_calls[0]["function"]["name"] == "search"


async def test_a_model_that_is_loaded_here_is_refused_before_the_run(bench: Bench, fake: FakeEndpoint) -> None:
    await begin(bench, fake)
    await publish_model(bench.database, ScriptedEngine(lambda prompt, seed: "", name="local").facts, by="test")
    request = make_request(suite="flights", models=("cloud", "local"), name="both")
    with pytest.raises(ModelError, match="Sequence 'paris' has `tools`, and 'local' is loaded here"):
        await plan_run(request, bench.database)
