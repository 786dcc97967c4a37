"""Notifying of a run's end: once, wherever a dispatcher dies; with real servers at both ends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nightjar.config.embedded import ServiceUrls
from nightjar.config.night_settings import NightSettings
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, Event, Gate, GateKind, Hook, HookKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Delivery, DeliveryState
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.closing import endings
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.notify.deliveries import deliver_due, send_again
from tests.dying_dispatcher import NIGHT, POINTS
from tests.receivers import MailReceiver, WebReceiver, refused_by_discord
from tests.workbench import make_run

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with WebReceiver().serving() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    with MailReceiver().serving() as receiver:
        yield receiver


def hook(text: str) -> Hook:
    from nightjar.pipeline.notify.hooks import parse_hook

    return parse_hook(text)


async def ended_run(database: Database, settings: Settings, *hooks: str, **ending: Any) -> Run:
    """A run whose work is done and report written, with no notification sent yet."""
    about = Ending(on_finish=tuple(map(hook, hooks)), **ending)
    run = await make_run("r", sequences=2, turns=1, ending=about)
    await database.jobs.update_many({"run": "r"}, {"$set": {"status": JobStatus.DONE}})
    judging = await control.move(run, RunStatus.JUDGING, database)
    await close_run(judging, database, settings.reports_dir)
    return await control.move(judging, RunStatus.DONE, database)


async def tell(database: Database, settings: Settings) -> None:
    """Notifies as a living dispatcher does."""
    await endings.finish_ended("alive", settings, database)
    await deliver_due(settings.night, "alive", database)


async def lapse(database: Database) -> None:
    """Lets the dead dispatcher's lease lapse."""
    past = {"$subtract": ["$$NOW", 1000]}
    await database.raw["deliveries"].update_many({"lease_until": {"$ne": None}}, [{"$set": {"lease_until": past}}])


async def only_delivery() -> Delivery:
    (found,) = await Delivery.find_all().to_list()
    return found


CERTAIN = [
    "before it is written",
    "after it is written",
    "before the claim",
    "after the claim",
    "after the connection",
    "after the record",
]
UNSURE = {"before the first byte": 0, "inside the call": 1, "after the answer": 1}


@pytest.mark.parametrize("point", POINTS)
async def test_a_webhook_is_called_once_wherever_the_dispatcher_dies(
    point: str, database: Database, services: ServiceUrls, web: WebReceiver, tmp_path: Path
) -> None:
    """Exactly once, and recorded as such; if it dies inside the call, at most once, and the status says so."""
    settings = Settings(home=tmp_path, night=NIGHT)
    await ended_run(database, settings, web.url)
    if point == "inside the call":
        web.on_call = lambda: os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    arguments = (services.mongo.get_secret_value(), database.raw.name, str(tmp_path), point)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.dying_dispatcher", *arguments, cwd=PROJECT
    )
    assert await process.wait() == -signal.SIGKILL
    web.on_call = lambda: None
    for _ in range(3):
        await lapse(database)
        await tell(database, settings)
    found = await only_delivery()
    assert {*CERTAIN, *UNSURE} == POINTS.keys()
    assert len(web.got) == UNSURE.get(point, 1)
    assert found.state is (DeliveryState.UNSURE if point in UNSURE else DeliveryState.DELIVERED)
    if point in UNSURE:
        assert "may have arrived or not" in (found.outcome or "")


async def test_resending_is_a_choice_and_keeps_the_id(
    database: Database, services: ServiceUrls, web: WebReceiver, tmp_path: Path
) -> None:
    """night.unsure = "resend": at least once, and the receiver can drop the second one by its id."""
    settings = Settings(home=tmp_path, night=NightSettings(call_timeout_s=1, unsure="resend"))
    await ended_run(database, settings, web.url)
    web.on_call = lambda: os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    arguments = (services.mongo.get_secret_value(), database.raw.name, str(tmp_path), "inside the call")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.dying_dispatcher", *arguments, cwd=PROJECT
    )
    assert await process.wait() == -signal.SIGKILL
    web.on_call = lambda: None
    await lapse(database)
    await tell(database, settings)
    assert (await only_delivery()).state is DeliveryState.DELIVERED
    assert len(web.got) == 2
    assert len({got.headers["idempotency-key"] for got in web.got}) == 1


async def test_several_dispatchers_at_once_call_once(database: Database, web: WebReceiver, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, night=NIGHT)
    await ended_run(database, settings, web.url)
    await asyncio.gather(*(tell(database, settings) for _ in range(6)))
    await tell(database, settings)
    assert len(web.got) == 1


async def test_what_a_webhook_is_told(database: Database, web: WebReceiver, tmp_path: Path) -> None:
    """The verdict, the report, an id in the headers, a signature of the body; the secret part of the URL is hidden."""
    night = NightSettings(webhook_secret=SecretStr("s3cret"), reports_url="https://host/reports")
    settings = Settings(home=tmp_path, night=night)
    gate = Gate(kind=GateKind.MISSING, metric=None, value=0)
    run = await ended_run(database, settings, web.url, gates=(gate,))
    await tell(database, settings)
    (got,) = web.got
    said = got.json
    assert (said["event"], said["run"]["name"], said["verdict"]["outcome"]) == ("tripped", "r", "tripped")
    assert "Gate --max-missing 0 tripped for r:scripted: 2 of 2 turns are missing" in said["text"]
    assert said["text"].splitlines()[1:] == [said["answer"], said["report"]["link"]]
    assert said["text"].isascii()
    (result,) = said["verdict"]["results"]
    assert (result["measured"], result["n"]) == (1.0, 2)
    assert said["report"]["link"] == "https://host/reports/r.html"
    assert said["report"]["files"] == [str(settings.reports_dir / f"r.{form}") for form in ("html", "json")]
    identity, seconds = got.headers["webhook-id"], got.headers["webhook-timestamp"]
    assert identity == got.headers["idempotency-key"] == said["delivery"]
    made = hmac.new(b"s3cret", f"{identity}.{seconds}.".encode() + got.body, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(made).decode()
    assert "secret-token" not in str((await only_delivery()).hook)
    assert run.ending.shown().on_finish == (web.url.replace("/hooks/secret-token", "/..."),)


async def test_discord_takes_what_it_is_told(database: Database, web: WebReceiver, tmp_path: Path) -> None:
    """Its address is known by its form; its form for Slack's messages takes what everybody gets."""
    web.refuses, web.statuses = refused_by_discord, [204]
    settings = Settings(home=tmp_path, night=NightSettings(reports_url="https://host/reports"))
    address = web.url.replace("/hooks/secret-token", "/api/webhooks/1122/tok_en-3")
    await ended_run(database, settings, address)
    await tell(database, settings)
    (got,) = web.got
    assert (await only_delivery()).state is DeliveryState.DELIVERED
    sent, answer, link = got.json["content"].splitlines()
    assert sent == "Run r is done: 2 of 2 jobs are done."
    assert answer.startswith("scripted wrote 0 of 2 replies")
    assert link == "https://host/reports/r.html"
    assert got.json["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(
    ("statuses", "calls", "state"),
    [
        ([503, 429, 200], 3, DeliveryState.DELIVERED),  # it said no, and may be asked again
        ([500], 6, DeliveryState.FAILED),  # for so long
        ([404, 200], 1, DeliveryState.FAILED),  # a wrong address stays wrong
        ([302, 200], 1, DeliveryState.FAILED),  # no redirect is followed
    ],
)
async def test_tries(
    statuses: list[int], calls: int, state: DeliveryState, database: Database, web: WebReceiver, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, night=NIGHT)
    web.statuses = statuses
    await ended_run(database, settings, web.url)
    for _ in range(8):
        await tell(database, settings)
        await database.raw["deliveries"].update_many({}, [{"$set": {"due_at": "$$NOW"}}])
    assert len(web.got) == calls
    assert (await only_delivery()).state is state


async def test_nobody_there_is_tried_again_and_then_told(database: Database, tmp_path: Path) -> None:
    """A refused connection: nothing was sent, so it waits, with backoff; at the end it is FAILED with its reason."""
    settings = Settings(home=tmp_path, night=NIGHT)
    await ended_run(database, settings, "http://127.0.0.1:9/x")
    await tell(database, settings)
    found = await only_delivery()
    assert (found.state, found.tries) == (DeliveryState.WAITING, 1)
    assert found.due_at > found.created_at + timedelta(seconds=2)
    for _ in range(8):
        await database.raw["deliveries"].update_many({}, [{"$set": {"due_at": "$$NOW"}}])
        await tell(database, settings)
    found = await only_delivery()
    assert (found.state, found.tries) == (DeliveryState.FAILED, 6)
    assert "ConnectionRefusedError" in (found.outcome or "")


async def test_no_answer_in_time_is_unsure_and_sent_again_by_hand(
    database: Database, web: WebReceiver, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, night=NIGHT)
    await ended_run(database, settings, web.url)
    web.on_call = lambda: asyncio.run(asyncio.sleep(1.5))
    await tell(database, settings)
    found = await only_delivery()
    assert found.state is DeliveryState.UNSURE
    assert "not answered" in (found.outcome or "")
    web.on_call = lambda: None
    assert await send_again(found.id, database)
    await tell(database, settings)
    assert (await only_delivery()).state is DeliveryState.DELIVERED
    assert not await send_again(found.id, database)  # nothing is wrong with it


async def test_a_command_gets_the_message_and_its_output_is_kept(database: Database, tmp_path: Path) -> None:
    """Its own arguments, no shell; the message on its standard input; what it prints is kept."""
    settings = Settings(home=tmp_path, night=NIGHT)
    script = tmp_path / "told.py"
    script.write_text(
        "import os, sys, json; said = json.load(sys.stdin); print(os.environ['NIGHTJAR_RUN'], "
        "os.environ['NIGHTJAR_EVENT'], said['run']['name'], sys.argv[1:])"
    )
    await ended_run(database, settings, f"{sys.executable} {script} 'a b' ';' '$HOME'")
    await tell(database, settings)
    found = await only_delivery()
    assert (found.state, found.outcome) == (DeliveryState.DELIVERED, "exit code 0")
    assert found.output == "r done r ['a b', ';', '$HOME']\n"


@pytest.mark.parametrize(
    ("command", "night", "said"),
    [
        ("false", {}, "exit code 1"),
        ("sleep 60", {"command_timeout_s": 1}, "longer than 1 s"),
    ],
)
async def test_a_command_that_fails_is_not_run_again(
    command: str, night: dict[str, Any], said: str, database: Database, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, night=NightSettings(**night))
    await ended_run(database, settings, command)
    await tell(database, settings)
    found = await only_delivery()
    assert (found.state, found.tries) == (DeliveryState.FAILED, 1)
    assert said in (found.outcome or "")


def by_mail(port: int, tmp_path: Path) -> Settings:
    night = NightSettings(
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_security="none",
        smtp_user="me",
        smtp_password=SecretStr("pw"),
        mail_from="nightjar@example.org",
    )
    return Settings(home=tmp_path, night=night)


async def test_a_mail_says_what_happened(database: Database, mail: MailReceiver, tmp_path: Path) -> None:
    settings = by_mail(mail.port, tmp_path)
    await ended_run(database, settings, "mailto:ops@example.org")
    await tell(database, settings)
    found = await only_delivery()
    assert found.state is DeliveryState.DELIVERED
    (text,) = mail.mails
    assert "Subject: Nightjar: r: done" in text
    assert f"Message-ID: <{found.id}@example.org>" in text
    assert "Run r is done: 2 of 2 jobs are done." in text
    assert any(line.startswith("AUTH PLAIN") for line in mail.said)


@pytest.mark.parametrize(
    ("refuse", "hang_up", "state"),
    [
        ("550 no such person", False, DeliveryState.FAILED),
        ("451 later", False, DeliveryState.WAITING),
        (None, True, DeliveryState.UNSURE),  # it has the mail and did not say so
    ],
)
async def test_a_mail_that_is_not_taken(
    refuse: str | None, hang_up: bool, state: DeliveryState, database: Database, mail: MailReceiver, tmp_path: Path
) -> None:
    mail.refuse, mail.hang_up_after_data = refuse, hang_up
    settings = by_mail(mail.port, tmp_path)
    await ended_run(database, settings, "mailto:ops@example.org")
    await tell(database, settings)
    assert (await only_delivery()).state is state


@pytest.mark.parametrize(
    ("told", "night", "said"),
    [
        ("mailto:ops@example.org", {}, "night.smtp_host"),
        ("no-such-command", {}, "no command 'no-such-command'"),
        ("true", {"commands": False}, "NIGHTJAR_NIGHT__COMMANDS=true"),
    ],
)
async def test_what_one_dispatcher_cannot_another_may(
    told: str, night: dict[str, Any], said: str, database: Database, tmp_path: Path
) -> None:
    """It waits for one that can; after six tries it is FAILED, with the setting to change."""
    settings = Settings(home=tmp_path, night=NightSettings(**night))
    await ended_run(database, settings, told)
    for tries in range(1, 7):
        await tell(database, settings)
        found = await only_delivery()
        assert found.tries == tries
        assert said in (found.outcome or "")
        await database.raw["deliveries"].update_many({}, [{"$set": {"due_at": "$$NOW"}}])
    assert found.state is DeliveryState.FAILED


async def test_a_run_that_ends_again_is_told_again(database: Database, web: WebReceiver, tmp_path: Path) -> None:
    """It was retried, so this is another end."""
    settings = Settings(home=tmp_path, night=NIGHT)
    run = await ended_run(database, settings, web.url)
    await tell(database, settings)
    working = await control.move(run, RunStatus.ACTIVE, database)
    await tell(database, settings)
    judging = await control.move(working, RunStatus.JUDGING, database)
    await control.move(judging, RunStatus.DONE, database)
    await tell(database, settings)
    await tell(database, settings)
    assert [got.json["event"] for got in web.got] == ["done", "done"]
    assert len({got.json["delivery"] for got in web.got}) == 2


async def test_a_deadline_stops_the_run_with_a_partial_report(
    database: Database, web: WebReceiver, tmp_path: Path
) -> None:
    """It is stopped only once: whoever resumes it wants it to continue."""
    settings = Settings(home=tmp_path, night=NIGHT)
    now = await database.now()
    about = Ending(on_finish=(hook(web.url),), deadline_at=now - timedelta(seconds=1))
    run = await make_run("r", sequences=3, turns=1, ending=about)
    await endings.stop_late(database)
    await tell(database, settings)
    stopped = await Run.get("r")
    assert stopped is not None
    assert stopped.status is RunStatus.STOPPED
    assert (stopped.status_reason or "").startswith("deadline ")
    assert (settings.reports_dir / "r.html").is_file()
    assert [got.json["event"] for got in web.got] == ["deadline"]
    assert "0 of 3 jobs are done" in web.got[0].json["text"]
    await control.resume(run, database)
    await endings.stop_late(database)
    again = await Run.get("r")
    assert again is not None
    assert again.status is RunStatus.ACTIVE


async def test_a_run_that_stalls_is_told_of_once_and_goes_on(
    database: Database, web: WebReceiver, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, night=NIGHT)
    about = Ending(on_finish=(hook(web.url),), stalled_after_s=60)
    await make_run("r", sequences=3, turns=1, ending=about)
    long_ago = await database.now() - timedelta(hours=1)
    await endings.watch_stalls(long_ago, database)  # it is seen for the first time
    await tell(database, settings)
    assert web.got == []
    await database.runs.update_one({"_id": "r"}, {"$set": {"progress.at": long_ago}})
    for _ in range(3):
        await endings.watch_stalls(long_ago, database)
        await tell(database, settings)
    assert [got.json["event"] for got in web.got] == ["stalled"]
    assert "no worker for model" in web.got[0].json["text"]
    run = await Run.get("r")
    assert run is not None
    assert run.status is RunStatus.ACTIVE


async def test_cancelling_tells_nobody(database: Database, web: WebReceiver, tmp_path: Path) -> None:
    """The person who cancelled it knows."""
    settings = Settings(home=tmp_path, night=NIGHT)
    run = await make_run("r", ending=Ending(on_finish=(hook(web.url),)))
    await control.cancel(run, database)
    await tell(database, settings)
    assert web.got == []


def test_events_have_a_sentence() -> None:
    assert {event.value for event in Event} == {"done", "tripped", "deadline", "stopped", "stalled"}
    assert HookKind("webhook") is HookKind.WEBHOOK
