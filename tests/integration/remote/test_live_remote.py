"""Live requests to a model at an endpoint: what a client is told when it breaks its word, and what is paid."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from nightjar.config.errors import LiveError, RestartedError
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.published import publish_model
from nightjar.web.meters import Meters
from nightjar.web.payments import Payments
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from tests.fake_endpoint import FakeEndpoint
from tests.integration.remote.conftest import register, serve_cloud
from tests.workbench import Bench

ASK = LiveAsk(user="ada", model="cloud", messages=[{"role": "user", "content": "Hello"}], parameters={})
SCHEMA = {"type": "object", "properties": {"animal": {"type": "string"}}, "required": ["animal"]}
HELD = replace(ASK, parameters={"json_schema": SCHEMA})


@asynccontextmanager
async def served(bench: Bench, payments: Payments | None = None) -> AsyncIterator[LiveRequests]:
    await publish_model(bench.database, entry_facts(find_model("cloud", bench.settings)), by="test")
    begun = None if payments is None else payments.watch
    async with LiveRequests(bench.database, bench.doorbell, bench.settings.live, begun=begun) as requests:
        serving = asyncio.create_task(serve_cloud(bench, burst=False))
        try:
            yield requests
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def streamed(requests: LiveRequests, ask: LiveAsk = ASK) -> str:
    """The text that came, with the error that ended it, if one did."""
    said = ""
    try:
        async for piece in await requests.submit(ask):
            said += piece.text
    except RestartedError:
        return f"{said}|restarted"
    return said


@pytest.mark.parametrize(
    ("replies", "heard"),
    [
        (["The fox ran away.", "The fox ran away."], "The fox ran away."),  # the same again: nobody notices
        (["The fox ran away.", "The fox slept."], "The fox slept."),  # otherwise, after what was sent
        (["The fox ran away.", "An owl."], "The fox |restarted"),  # begins otherwise
        (["The fox ran away.", "The"], "The fox |restarted"),  # ends before what was sent
    ],
)
async def test_a_stream_that_broke_off_goes_on_only_with_the_same_text(
    bench: Bench, fake: FakeEndpoint, replies: list[str], heard: str
) -> None:
    """No other text is ever put behind what the client has."""
    register(bench, fake)
    texts = iter(replies)
    fake.reply = lambda body: next(texts)
    fake.faults = deque(["cut"])
    fake.pause_s = 0.1  # so that the first piece is heard before the rest breaks off
    async with served(bench) as requests:
        said = await streamed(requests)
    assert said == heard


async def test_who_waits_for_the_whole_reply_sees_no_beginning_of_another(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake)
    texts = iter(["The fox ran away.", "An owl."])
    fake.reply, fake.pause_s = lambda body: next(texts), 0.1
    fake.faults = deque(["cut"])
    async with served(bench) as requests:
        assert (await (await requests.submit(ASK)).result()).reply == "An owl."


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("an owl", "not what its schema asks for: it is no JSON"),
        ('{"beast": 1}', "not what its schema asks for: 'animal' is a required property"),
    ],
)
async def test_a_reply_that_does_not_keep_to_its_schema_is_an_error(
    bench: Bench, fake: FakeEndpoint, reply: str, says: str
) -> None:
    register(bench, fake)
    fake.reply = lambda body: reply
    async with served(bench) as requests:
        with pytest.raises(LiveError, match=says):
            await (await requests.submit(HELD)).result()
        fake.reply = lambda body: '{"animal": "owl"}'
        assert (await (await requests.submit(HELD)).result()).reply == '{"animal": "owl"}'


async def test_what_was_cut_at_its_length_is_handed_out(bench: Bench, fake: FakeEndpoint) -> None:
    """As OpenAI's own API does: the client sees by the reason that it is not whole."""
    register(bench, fake)
    fake.reply, fake.finish_reason = lambda body: '{"animal": "ow', "length"
    async with served(bench) as requests:
        end = await (await requests.submit(HELD)).result()
    assert (end.reply, end.finish_reason) == ('{"animal": "ow', "length")


async def test_a_schema_that_the_registry_keeps_back_is_not_sent_and_still_checked(
    bench: Bench, fake: FakeEndpoint
) -> None:
    register(bench, fake, omit=["json_schema"])
    fake.reply = lambda body: '{"animal": "owl"}'
    async with served(bench) as requests:
        job = await (await requests.submit(HELD)).result()
        fake.reply = lambda body: "an owl"
        with pytest.raises(LiveError, match="its schema"):
            await (await requests.submit(HELD)).result()
    assert ["response_format" in body for body in fake.bodies] == [False, False]
    [turn] = (await bench.database.jobs.find_one({"_id": job.job}))["turns"]  # type: ignore[index]
    assert turn["draws"][0]["remote"]["unsent"] == ["json_schema"]


async def test_what_is_paid_has_the_tries_that_broke_off_and_replies_without_use(
    bench: Bench, fake: FakeEndpoint
) -> None:
    """A cut try, a reply, one that its schema refuses and one that its client leaves: the ledger's sum is the sum."""
    register(bench, fake)
    counter = itertools.count()
    fake.faults = deque(["cut"])
    fake.reply = lambda body: "an owl" if "response_format" in body else f"Reply {next(counter)}" * 3
    payments = Payments(database=bench.database, meters=Meters())
    async with served(bench, payments) as requests:
        await (await requests.submit(ASK)).result()
        with pytest.raises(LiveError):
            await (await requests.submit(HELD)).result()
        await payments.look()
        before = payments.meters.answers.usd
        fake.pause_s = 0.2
        left = await requests.submit(ASK)
        async for _ in left:
            break
        await left.cancel()
        for _ in range(100):
            await payments.look()
            if not payments.under_way:
                break
            await asyncio.sleep(0.1)
    entries = await Expense.find_all().to_list()
    assert len(entries) == 4, "the cut one and the one after it, the refused one, the one that was left"
    assert all(entry.settled for entry in entries)
    paid: Any = payments.meters.answers.usd
    assert paid == pytest.approx(sum(entry.usd or 0.0 for entry in entries))
    assert before is not None
    assert paid > before > 0
