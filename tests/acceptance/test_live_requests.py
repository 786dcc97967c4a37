"""Live requests with a real worker process and the demo model: streamed, and never silent when the worker dies."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing

import psutil
from pydantic import SecretStr

from nightjar.config.errors import LiveError
from nightjar.config.live_settings import LiveSettings
from nightjar.jobs.database import connect
from nightjar.jobs.documents import Job
from nightjar.jobs.live.requests import LiveReply, LiveRequests
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from tests.demo_engine import DEMO
from tests.home import DATABASE, Home, eventually
from tests.workbench import until

WITHIN_S = 120.0
STORY = [{"role": "user", "content": "Tell me a story about a fox."}]


async def asked(requests: LiveRequests, **parameters: int) -> LiveReply:
    ask = LiveAsk(user="ada", model="nightjar-demo", messages=STORY, parameters=parameters, seed=3)
    return await requests.submit(ask)


async def test_a_reply_is_streamed_and_a_killed_worker_is_not_silence(home: Home) -> None:
    """The client of a worker that is killed has the rest from the next process, or an error."""
    home.ok("services", "up")
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "2", "--live", "1")
    eventually(lambda: home.find("workers", state="ready"), WITHIN_S, lambda: home.said("worker"))
    async with await connect(SecretStr(home.url("mongo")), DATABASE) as database:
        doorbell = await Doorbell.connect(SecretStr(home.url("redis")))
        async with LiveRequests(database, doorbell, LiveSettings()) as requests:
            reply = await asked(requests, max_tokens=40)
            pieces = [piece.text async for piece in reply]
            assert reply.end is not None
            assert reply.end.claim_s is not None
            assert len(pieces) > 1
            assert "".join(pieces) == reply.end.reply
            await killed_in_the_middle(await asked(requests, max_tokens=4000, min_tokens=1), database)
        await doorbell.close()


async def test_a_place_at_work_makes_room_for_a_live_request(home: Home) -> None:
    """Turns end and jobs go back, no try is counted; and the run goes on."""
    home.ok("services", "up")
    home.ok("model", "add", str(DEMO), "--name", "twin")
    night = ("--suite", "story-starters", "--repeats", "40", "--set", "max_tokens=60", "--name", "night")
    home.ok("enqueue", *night, "-m", "nightjar-demo")
    worker = ("worker", "--model", "auto", "--gpu", "none", "--slots", "1", "--live-preempts")
    home.start("worker", *worker, env={"NIGHTJAR_PROBE": "false"})
    eventually(lambda: home.find("jobs", status="RUNNING"), WITHIN_S, lambda: home.said("worker"))
    async with await connect(SecretStr(home.url("mongo")), DATABASE) as database:
        doorbell = await Doorbell.connect(SecretStr(home.url("redis")))
        async with LiveRequests(database, doorbell, LiveSettings(idle_s=8)) as requests:
            reply = await requests.submit(LiveAsk(user="ada", model="twin", messages=STORY))
            async with asyncio.timeout(WITHIN_S):
                text = "".join([piece.text async for piece in reply])
            assert reply.end is not None
            assert text == reply.end.reply
            [run] = home.find("runs", name="night")
            jobs = home.find("jobs", run=run["_id"])
            assert {job["tries"] for job in jobs} == {0}
            assert {job["status"] for job in jobs} == {"DONE", "PENDING"}, "it was taken in the middle of its work"
        await doorbell.close()
    eventually(lambda: home.find("jobs", status="RUNNING"), WITHIN_S, lambda: home.said("worker"))


async def killed_in_the_middle(reply: LiveReply, database: Database) -> None:
    text = ""
    async with asyncio.timeout(WITHIN_S), aclosing(aiter(reply)) as pieces:  # type: ignore[type-var]
        text += (await anext(pieces)).text
        job = await until(lambda: Job.find_one({"_id": reply.job.id, "owner": {"$ne": None}}))
        psutil.Process(int(job.owner.split(":")[1])).send_signal(signal.SIGKILL)
        try:
            text += "".join([piece.text async for piece in pieces])
        except LiveError:
            return
    assert reply.end is not None
    assert text == reply.end.reply
    assert reply.end.fence > 1
