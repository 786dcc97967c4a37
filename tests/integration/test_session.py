"""What a command says when MongoDB goes away while it runs."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ServiceError
from nightjar.jobs.database import still_answers
from nightjar.jobs.documents import Run
from nightjar.scripts.session import open_session
from tests.workbench import until


@pytest.fixture(autouse=True)
def _session_servers(services: ServiceUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightjar.config.embedded.service_urls", lambda settings, **options: services)


async def test_a_server_that_goes_away_is_named_with_what_to_do() -> None:
    with pytest.raises(ServiceError, match=r"MongoDB at \S+/mongo\.sock went away.*AutoReconnect.*again"):
        async with open_session():
            raise AutoReconnect("connection closed")


async def test_a_request_that_was_wrong_is_not_hidden() -> None:
    with pytest.raises(OperationFailure):
        async with open_session():
            raise OperationFailure("unknown operator", 2)


async def test_a_client_that_has_lost_a_server_that_answers_others_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver's pool may stay paused after its server hung: commands that run for hours go on."""
    monkeypatch.setattr("nightjar.scripts.keeper.LOOK_S", 0.05)
    async with open_session() as session:
        lost = session.database.client
        await lost.close()
        await until(lambda: still_answers(session.database))
        assert session.database.client is not lost
        assert await Run.count() == 0, "documents are read through the new client too"
