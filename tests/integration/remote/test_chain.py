"""A chain: a local model compresses, a model at an endpoint replies; one worker, from enqueueing to the ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from nightjar.config.errors import SettingsError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import ModelSource
from nightjar.jobs.money.spending import Expense, spending
from nightjar.jobs.parameters import Policy
from nightjar.jobs.published import publish_model
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.library.editing import add_entry, remove_entry
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.library.registry import parse_registry
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve
from tests.demo_engine import DEMO
from tests.fake_endpoint import MODEL_AT_FAKE, FakeEndpoint
from tests.workbench import Bench

STORY = "Mia the fox went into the green wood and met an old owl who told her of a silver lake. "
BUDGET = 220


def registry(fake: FakeEndpoint, chain: dict[str, Any]) -> str:
    endpoint = fake.table(price={"input": 1_000.0, "output": 2_000.0})
    load = {"context": 512, "slots": 2, "threads": 1}
    return tomlkit.dumps(
        {
            "endpoints": {"fake": endpoint},
            "demo": {"path": str(DEMO), "load": load},
            "cloud": {"endpoint": "fake", "model": MODEL_AT_FAKE},
            "summarised": {"chain": chain},
        }
    )


async def begin(bench: Bench, fake: FakeEndpoint, *sequences: dict[str, Any]) -> Run:
    chain = {"compress": "demo", "reply": "cloud", "budget": BUDGET}
    bench.settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    bench.settings.models_file.write_text(registry(fake, chain), encoding="utf-8")
    contents = tuple(Sequence.model_validate({"parameters": {"max_tokens": 20}, **given}) for given in sequences)
    await import_suite(SuiteContent(name="tales", sequences=contents), bench.database)
    facts = await asyncio.to_thread(entry_facts, find_model("summarised", bench.settings))
    await publish_model(bench.database, facts, by="test")
    request = make_request(suite="tales", models=("summarised",), name="r", max_tries=3)
    return (await enqueue(request, bench.database)).run


async def serve_chain(bench: Bench) -> int:
    options = WorkerOptions(model="summarised", gpu="none", burst=True, probe=False, started_ms=1)
    async with bench.dispatching():
        return await asyncio.wait_for(serve(options, bench.settings, bench.database, bench.services.redis), 120)


async def jobs_of(run: Run) -> list[Job]:
    return await Job.find({"run": run.id}).sort("+order").to_list()


def asked_of(text: str, turns: int = 1) -> dict[str, Any]:
    return {"id": text, "turns": [{"prompt": f"{text}, turn {turn}?"} for turn in range(turns)]}


async def test_documents_and_old_turns_are_compressed_here_and_answered_there(bench: Bench, fake: FakeEndpoint) -> None:
    """What was compressed once stays so; both parts are in the turn, and the endpoint's has its entry in the ledger."""
    fake.reply = lambda body: STORY * 4
    document = {"name": "tale", "text": STORY * 40}
    run = await begin(bench, fake, {**asked_of("Who is in it", turns=4), "documents": [document]}, asked_of("short"))
    assert await serve_chain(bench) == 0
    long, short = await jobs_of(run)
    assert (long.status, short.status) == (JobStatus.DONE, JobStatus.DONE), (long.reason, short.reason)
    first = long.turns[0]
    assert {summary.document for summary in first.summaries} == {"tale"}
    sent = [body["messages"] for body in fake.bodies]
    assert all(document["text"] not in str(messages) for messages in sent)
    assert all(summary.text in first.prompt for summary in first.summaries)
    assert first.policy is Policy.SUMMARISE
    assert sum(summary.tokens_before for summary in first.summaries) > BUDGET
    assert not any(summary.document for turn in long.turns[1:] for summary in turn.summaries), "it stays in force"
    later = long.turns[-1]
    assert any(summary.turns for turn in long.turns for summary in turn.summaries), "old turns, too"
    assert later.dropped_turns
    assert "Summary of our conversation so far: " in str(next(each for each in sent if "turn 3?" in str(each[-1])))
    assert short.turns[0].summaries == ()
    assert [each for each in sent if "short" in str(each)] == [[{"role": "user", "content": "short, turn 0?"}]]
    expenses = await Expense.find({"run": run.id}).to_list()
    assert {expense.model for expense in expenses} == {"summarised"}
    assert len(expenses) == len(fake.paid) == 5
    [spent] = (await spending([run.id], bench.database))[run.id]
    assert spent.usd == pytest.approx(
        sum(use["prompt_tokens"] * 1e-3 + use["completion_tokens"] * 2e-3 for use in fake.paid)
    )
    [model] = (await Run.get(run.id) or run).models
    assert model.facts is not None
    assert model.facts.source is ModelSource.REMOTE, "what is sent may be told by `local_only`"
    assert model.facts.chain is not None
    assert (model.facts.chain.compress, model.facts.chain.reply) == ("demo", "cloud")


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        ({"compress": "demo", "reply": "clout"}, "no model 'clout' to reply. Did you mean 'cloud'?"),
        ({"compress": "demo", "reply": "demo"}, "'demo' is to reply, and is no model at an endpoint"),
        ({"compress": "cloud", "reply": "cloud"}, "'cloud' is to compress, and is no model with a file"),
        ({"compress": "summarised", "reply": "cloud"}, "'summarised' is to compress"),
        ({"compress": "demo"}, "reply"),
        ({"compress": "demo", "reply": "cloud", "budget": 3}, "budget"),
    ],
)
def test_what_makes_no_chain_is_refused(fake: FakeEndpoint, chain: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse_registry(registry(fake, chain), Path("models.toml"))


def test_a_model_that_a_chain_needs_stays(fake: FakeEndpoint, tmp_path: Path) -> None:
    """And another budget, or another model of it, is another model."""
    file = tmp_path / "models.toml"
    file.write_text(registry(fake, {"compress": "demo", "reply": "cloud"}), encoding="utf-8")
    with pytest.raises(SettingsError, match="no model 'cloud' to reply"):
        remove_entry(file, "cloud")
    settings = Settings(home=tmp_path, models_file=file)
    add_entry(file, "shorter", {"chain": {"compress": "demo", "reply": "cloud", "budget": 100}})
    facts = [entry_facts(find_model(name, settings)) for name in ("summarised", "shorter", "cloud")]
    assert len({each.digest for each in facts}) == 3
    assert {each.remote for each in facts} == {facts[0].remote}
