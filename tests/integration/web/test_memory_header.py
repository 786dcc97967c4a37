"""The header that gives a request its user's memory: what is refused before anything is asked of a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightjar.config.errors import ModelError
from nightjar.jobs.documents import Job
from nightjar.jobs.memory import add_fact
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.published import publish_model
from nightjar.web.openai.asking import MEMORY
from nightjar.workers.engine.fake import scripted_facts
from tests.integration.web.conftest import Visits

HELLO = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}


def lacking(parameters: Any) -> None:
    raise ModelError("A memory needs a small embedding model, and `memory_model` is not set.")


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("a b", {}, "memory"),  # no name
        ("user/bob/notes", {}, "memory"),  # another's
        ("shared/none", {}, "shared/house"),  # the one that there is
        ("notes", {"store": False}, "store: false"),
    ],
)
async def test_what_is_refused(visits: Visits, name: str, more: dict[str, Any], says: str) -> None:
    await publish(visits)
    await add_fact("shared/house", "The cat is Minka.", utc_now(), visits.database)
    await refused(visits, name, more, says)


async def test_without_a_small_embedding_model(visits: Visits) -> None:
    await publish(visits)
    visits.app.state.site = replace(visits.app.state.site, enforceable=lacking)
    await refused(visits, "notes", {}, "memory_model")


async def publish(visits: Visits) -> None:
    facts = scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64)
    await publish_model(visits.database, facts, by="test", origin=None)


async def refused(visits: Visits, name: str, more: dict[str, Any], says: str) -> None:
    async with await visits.owner() as browser:
        answer = await browser.post("/v1/chat/completions", json=HELLO | more, headers={MEMORY: name})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["param"] == MEMORY
    assert await Job.find_all().count() == 0
