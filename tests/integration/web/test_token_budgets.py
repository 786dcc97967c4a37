"""A token's budget as its programs meet it: refused in the protocol's shape, before there is a job."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.accounts.access import add_token
from nightjar.jobs.accounts.documents import TokenLimits, TokenScope
from nightjar.jobs.accounts.token_ledger import ApiRequest
from nightjar.jobs.documents import Job
from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.published import publish_model
from nightjar.jobs.remote_models import Dialect, Price, RemoteFacts, TokenUse
from nightjar.web.gate import PROCESSING_MS, REQUEST_ID
from nightjar.workers.engine.fake import scripted_facts
from tests.integration.web.conftest import Visits

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 900}
TOKENS = TokenLimits(tokens_day=500)
MONEY = TokenLimits(usd_month=0.01)


async def publish(visits: Visits, price: Price | None) -> None:
    await publish_model(
        visits.database, scripted_facts("local", context=4096, kind=ModelKind.CHAT, digest="0" * 64), by="test"
    )
    remote = RemoteFacts(endpoint="e", host="localhost", dialect=Dialect.OPENAI, model="large", price=price)
    facts = ModelFacts(name="cloud", source=ModelSource.REMOTE, digest="1" * 64, kind=ModelKind.CHAT, remote=remote)
    await publish_model(visits.database, facts, by="test")


@pytest.mark.parametrize(
    ("path", "body", "limits", "price", "status", "code"),
    [
        ("/v1/chat/completions", {"model": "local", **CHAT}, TOKENS, None, 429, "insufficient_quota"),
        ("/v1/chat/completions", {"model": "local", **CHAT, "stream": True}, TOKENS, None, 429, "insufficient_quota"),
        (
            "/v1/chat/completions",
            {"model": "cloud", **CHAT},
            MONEY,
            Price(input=1, output=20),
            402,
            "insufficient_quota",
        ),
        ("/v1/chat/completions", {"model": "cloud", **CHAT}, MONEY, None, 402, "insufficient_quota"),  # unknown price
        (
            "/v1/completions",
            {"model": "local", "prompt": "x", "max_tokens": 900},
            TOKENS,
            None,
            429,
            "insufficient_quota",
        ),
        ("/v1/completions", {"model": "local", "prompt": [[1] * 600]}, TOKENS, None, 429, "insufficient_quota"),
        ("/generate", {"model": "local", "prompt": "x", "max_tokens": 900}, TOKENS, None, 429, None),
    ],
)
async def test_a_request_beyond_the_budget(
    visits: Visits, path: str, body: dict[str, Any], limits: TokenLimits, price: Price | None, status: int, code: Any
) -> None:
    await publish(visits, price)
    secret = await add_token("ci", None, [TokenScope.V1], database=visits.database, limits=limits)
    async with visits.client(authorization=f"Bearer {secret}") as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert "ci" in error["message"]
    assert error.get("code") == code
    knows_when = not (status == 402 and price is None)
    assert ("retry-after" in answer.headers) is knows_when
    assert float(answer.headers[PROCESSING_MS]) > 0
    assert await Job.find_all().count() == await ApiRequest.find_all().count() == 0


async def test_what_is_under_way_may_leave_room_again(visits: Visits) -> None:
    """Then it is only too much at once; the session of a browser has no budget."""
    await publish(visits, None)
    limits = TokenLimits(tokens_day=1000)
    secret = await add_token("ci", None, [TokenScope.V1], database=visits.database, limits=limits)
    most = TokenUse(prompt=100, reply=300)
    await ApiRequest(
        id="x",
        token="ci",
        user="owner",
        model="local",
        endpoint=None,
        request="r",
        at=utc_now(),
        reserved=most,
        tokens=400,
        usd=None,
    ).insert()
    async with visits.client(authorization=f"Bearer {secret}") as client:
        answer = await client.post("/v1/chat/completions", json={"model": "local", **CHAT})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "5"
    assert len(answer.headers[REQUEST_ID]) == 16


async def test_settings_show_tokens_with_their_budgets_and_what_they_took(visits: Visits) -> None:
    await add_token("ci", None, [TokenScope.V1], database=visits.database, limits=TokenLimits(usd_month=20))
    used = TokenUse(prompt=1200, reply=345)
    for model, endpoint, usd in (("local", None, None), ("cloud", "e", 1.25), ("dark", "e", None)):
        await ApiRequest(
            id=model,
            token="ci",
            user="owner",
            model=model,
            endpoint=endpoint,
            request="r",
            at=utc_now(),
            reserved=used,
            tokens=1545,
            usd=usd,
            settled=True,
            use=used,
        ).insert()
    async with await visits.owner() as browser:
        page = (await browser.get("/settings")).text
    assert "$20.00 a month" in page
    assert "1\u202f200" in page
    assert "$1.25" in page
    assert "unknown" in page, "no price is not nothing"
