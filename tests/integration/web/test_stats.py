"""`/stats` and `/metrics`: what was answered, what it cost, what it would have cost; unknown is never nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightjar.config.errors import CancelledReplyError
from nightjar.config.money_settings import MoneySettings
from nightjar.config.settings import Settings
from nightjar.jobs.live.reply_cache import CacheUse
from nightjar.jobs.live.runs import LiveJob
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.published import publish_model
from nightjar.jobs.remote_models import Dialect, Price, RemoteFacts, TokenUse
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.web.totals import RouteLabel
from tests.documents import a_job, a_run
from tests.integration.web.conftest import Visits
from tests.integration.web.test_costs import table
from tests.integration.web.test_pages import get

OLD_KEYS = (
    "total_requests avg_latency_ms total_tokens_generated estimated_gpt4_cost_usd cost_savings_usd hit_rate "
    "cache_saved_usd"
).split()
"""In this order; programs of the service before read them."""
PRICE = Price(input=1_000, output=10_000)
ROUTE = RouteLabel(policy="router:chat", reason="tag")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"money": MoneySettings(reference_model="large")})


def end(prompt: int, reply: int, **more: Any) -> LiveEnd:
    fields: dict[str, Any] = dict.fromkeys(("queue_s", "prefill_s", "decode_s"), 0.1)
    fields |= dict.fromkeys(("reused_tokens", "reasoning_tokens", "seed"), 0)
    fields |= dict.fromkeys(("stop_string", "claim_s", "first_token_s", "mean_logprob", "empty"))
    fields |= {"job": "j", "reply": "x", "reasoning": "", "finish_reason": "stop", "fence": 1, "worker": "w"}
    return LiveEnd(**fields | {"prompt_tokens": prompt, "reply_tokens": reply, "chances": (), **more})


async def publish(visits: Visits, price: Price | None) -> None:
    remote = RemoteFacts(endpoint="e", host="localhost", dialect=Dialect.OPENAI, model="large", price=price)
    facts = ModelFacts(name="large", source=ModelSource.REMOTE, digest="1" * 64, kind=ModelKind.CHAT, remote=remote)
    await publish_model(visits.database, facts, by="test")


async def pay(visits: Visits, model: str, usd: float) -> None:
    """A request of this server's that cost so much."""
    use = TokenUse(prompt=1, reply=1)
    job = LiveJob(id=f"paid-{model}-{usd}", run="live", model=model, fence=1, seed=0, remote=True)
    await Expense(
        id=job.id, run=job.run, job=job.id, fence=1, kind=JobKind.REPLY, model=model, endpoint="e", price=PRICE,
        reserved_usd=1, reserved=use, settled=True, use=use, usd=usd, at=utc_now(),
    ).insert()  # fmt: skip
    await visits.app.state.site.payments.watch(job)


async def evaluated(visits: Visits, sequences: int) -> None:
    """A run in which `large` wrote twice as many tokens as a local model."""
    await a_run("r").insert()
    for number in range(sequences):
        for model, ids in (("large", None), ("local", [1] * 10)):
            name = f"{model}{number}"
            await a_job(
                name, run="r", model=model, sequence=f"s{number}", status=JobStatus.DONE, turns_total=1
            ).insert()
            draw = {"reply_ids": ids, "reported_tokens": 20 if ids is None else None}
            turn = {"prompt_tokens": 0, "draws": [draw]}
            await visits.database.jobs.update_one({"_id": name}, {"$set": {"turns": [turn]}})
        use = TokenUse(prompt=0, reply=20)
        await Expense(
            id=f"e{number}",
            run="r",
            job=f"large{number}",
            fence=1,
            kind=JobKind.REPLY,
            model="large",
            endpoint="e",
            price=PRICE,
            reserved_usd=1,
            reserved=use,
            settled=True,
            use=use,
            usd=0.2,
            at=utc_now(),
        ).insert()


async def test_nothing_is_known_before_anything_was_answered(visits: Visits) -> None:
    async with await visits.owner() as browser:
        said = (await browser.get("/stats")).json()
    assert list(said)[: len(OLD_KEYS)] == OLD_KEYS
    unknown = [key for key in OLD_KEYS if key not in ("total_requests", "total_tokens_generated")]
    assert {said[key] for key in [*unknown, "cost_usd", "share_local", "cost_savings_interval_usd"]} == {None}
    assert "Nobody knows the price of large" in said["cost_savings_assumption"]


@pytest.mark.parametrize(
    ("sequences", "ratio", "has_interval"),
    [
        (0, 1.0, False),  # taken to write as many tokens
        (19, 1.0, False),
        (20, 2.0, True),  # each reply of it was twice as long
    ],
)
async def test_what_was_answered_and_saved(visits: Visits, sequences: int, ratio: float, has_interval: bool) -> None:
    await publish(visits, PRICE)
    await evaluated(visits, sequences)
    meters = visits.app.state.site.meters
    meters.looked_up("local", CacheUse.MISS)
    meters.looked_up("local", CacheUse.HIT)
    meters.ended("local", end(100, 10), ROUTE)
    meters.ended("local", end(100, 20, finish_reason="length"))
    meters.ended("local", end(100, 10, cached=True))
    meters.ended("other", end(50, 5, remote=True, usd=0.01))
    await pay(visits, "other", 0.03)  # with a try that broke off
    meters.ended("dark", end(1000, 1000, remote=True))  # its price is unknown
    meters.ended("large", end(200, 20, remote=True, usd=0.4))
    await pay(visits, "large", 0.4)
    meters.ended("large", end(200, 20, remote=True, usd=0.0, cached=True, saved_usd=0.4))
    meters.fell_back("other")
    async with await visits.owner() as browser:
        said = (await browser.get("/stats")).json()
        text = (await browser.get("/metrics")).text
    plain = (100 + 100 + 100 + 50 + 200) * 1e-3 + (10 + 20 + 10 + 5 + 20) * 1e-2  # all but what large wrote itself
    assert said["estimated_gpt4_cost_usd"] == pytest.approx(plain * ratio)
    assert said["cost_savings_usd"] == pytest.approx(plain * ratio - 0.03)
    assert (said["cost_savings_interval_usd"] is not None) is has_interval
    assert (said["total_requests"], said["hit_rate"], said["fallbacks"]) == (7, 0.5, {"other": 1})
    assert said["cost_usd"] == pytest.approx(0.43)
    assert said["unpriced_requests"] == 1
    assert said["share_local"] == pytest.approx(4 / 7)
    local = said["models"]["local"]
    assert (local["requests"], local["cached"], local["prompt_tokens"], local["cost_usd"]) == (3, 1, 200, None)
    assert local["reasons"] == {
        "length": {"requests": 1, "reply_tokens": 20},
        "stop": {"requests": 2, "reply_tokens": 10},
    }
    [way] = said["routed"]
    assert way == {
        "policy": "router:chat",
        "model": "local",
        "reason": "tag",
        "requests": 1,
        "prompt_tokens": 100,
        "reply_tokens": 10,
    }
    samples = {
        (
            sample.name,
            *(sample.labels.get(name, "") for name in ("model_name", "finished_reason", "place", "bound")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["nightjar_finished_generation_tokens_total", "local", "length", "", ""] == 20
    assert samples["nightjar_cost_usd_total", "large", "", "", ""] == pytest.approx(0.4)
    assert samples["nightjar_unpriced_requests_total", "dark", "", "", ""] == 1
    assert samples["nightjar_reply_cache_saved_usd_total", "large", "", "", ""] == pytest.approx(0.4)
    assert [samples["nightjar_answers_total", "", "", place, ""] for place in ("local", "endpoint", "cache")] == [
        2,
        3,
        2,
    ]
    assert samples["nightjar_cost_savings_usd", "", "", "", "estimate"] == pytest.approx(plain * ratio - 0.03)
    assert (("nightjar_cost_savings_usd", "", "", "", "low") in samples) is has_interval


@pytest.mark.parametrize(
    ("price", "sequences", "text", "words"),
    [
        (None, 0, r"unknown", "Nobody knows the price of large"),
        (PRICE, 0, r"\$0\.1700, no interval", "is taken to write as many tokens"),
        (PRICE, 20, r"\$0\.3700 \(\$0\.3700 to \$0\.3700\)", "20 sequences of evaluations"),
    ],
)
async def test_the_page_of_costs_says_what_live_requests_saved(
    visits: Visits, price: Price | None, sequences: int, text: str, words: str
) -> None:
    """Beside what runs saved, never added to it: the one is against a policy's default, the other the reference."""
    await publish(visits, price)
    await evaluated(visits, sequences)
    meters = visits.app.state.site.meters
    async with await visits.owner() as browser:
        assert "has answered no live request" in await get(browser, "/costs")
        meters.ended("local", end(100, 10))
        meters.ended("other", end(0, 0, remote=True, usd=0.03))
        await pay(visits, "other", 0.03)
        [live] = table(await get(browser, "/costs"), "savings")[1:]
        assert live[:2] == ["live requests", "2"]
        assert re.fullmatch(text, live[2])
        assert words in live[3]
        meters.looked_up("large", CacheUse.HIT)
        meters.ended("large", end(200, 20, remote=True, usd=0.0, cached=True, saved_usd=0.4))
        [_, cached] = table(await get(browser, "/costs"), "savings")[1:]
        assert cached[:3] == ["of these from the cache", "1", "$0.4000"]


async def test_failures_are_counted_by_model_and_error(visits: Visits) -> None:
    site = visits.app.state.site
    site.meters.failed("local", CancelledReplyError("gone"))
    async with await visits.owner() as browser:
        text = (await browser.get("/metrics")).text
    [failed] = [family for family in text_string_to_metric_families(text) if family.name == "nightjar_request_failure"]
    assert {sample.labels["error"] for sample in failed.samples} == {"CancelledReplyError"}


async def test_without_a_reference_model_nothing_says_what_was_saved(visits: Visits) -> None:
    site = visits.app.state.site
    visits.app.state.site = replace(site, settings=site.settings.model_copy(update={"money": MoneySettings()}))
    site.meters.ended("local", end(1, 1))
    async with await visits.owner() as browser:
        said = (await browser.get("/stats")).json()
    assert (said["cost_savings_usd"], said["estimated_gpt4_cost_usd"]) == (None, None)
    assert "not set" in said["cost_savings_assumption"]
