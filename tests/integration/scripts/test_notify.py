"""`nightjar run notify`, and its former name."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.jobs.database import connect
from nightjar.jobs.ending import Event, Hook, HookKind
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.nights.documents import Delivery, DeliveryState
from nightjar.scripts.cli import main
from tests.workbench import make_run


@pytest.fixture
def stored(services: ServiceUrls, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The name of a database with a run whose one call failed; commands of this test use it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", services.mongo.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", services.redis.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_MONGO_DATABASE", name)

    async def store() -> None:
        async with await connect(services.mongo, name):
            await make_run("nightly")
            now = utc_now()
            hook = Hook(kind=HookKind.COMMAND, target="x")
            await Delivery(
                id="d",
                run="nightly",
                run_name="nightly",
                event=Event.DONE,
                hook=hook,
                payload={},
                state=DeliveryState.FAILED,
                due_at=now,
                created_at=now,
            ).insert()

    async def drop() -> None:
        async with await connect(services.mongo, name, documents=False) as database:
            await database.client.drop_database(name)

    asyncio.run(store())
    yield name
    asyncio.run(drop())


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", ["notify", "tell"])
def test_a_failed_call_is_made_again(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only once: a call that already waits is not asked for again."""
    for said in ("Made again by a dispatcher: 1 call.", "Nobody is left to be called again."):
        with pytest.raises(SystemExit) as end:
            main(["run", command, "nightly"])
        assert not end.value.code
        assert capsys.readouterr().out.strip() == said


def test_only_the_new_name_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()]
    assert "notify" in names
    assert "tell" not in names
